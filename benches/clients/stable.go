package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gathering watches the members of one group until each has its share of the partitions.
type gathering struct {
	lock       sync.Mutex
	has        map[int]share
	members    int
	partitions int
	done       chan time.Time
}

type share struct {
	generation int32
	partitions int
}

func gather(members, partitions int) *gathering {
	return &gathering{has: map[int]share{}, members: members, partitions: partitions, done: make(chan time.Time, 1)}
}

// more is the same group with another member.
func (g *gathering) more() {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.members++
	g.done = make(chan time.Time, 1)
}

// tell notes what a member has; the group is stable when all have as many partitions as each other but for one, and all of
// them together, in one generation.
func (g *gathering) tell(member int, now share) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.has[member] = now
	if len(g.has) != g.members {
		return
	}
	sum := 0
	for _, of := range g.has {
		sum += of.partitions
		few := g.partitions / g.members
		if of.generation != now.generation || of.partitions < few || of.partitions > few+1 {
			return
		}
	}
	if sum != g.partitions {
		return
	}
	select {
	case g.done <- time.Now():
	default:
	}
}

func (g *gathering) wait(failed <-chan error) (time.Time, error) {
	select {
	case at := <-g.done:
		return at, nil
	case err := <-failed:
		return time.Time{}, err
	case <-time.After(5 * time.Minute):
		g.lock.Lock()
		defer g.lock.Unlock()
		return time.Time{}, fmt.Errorf("the group of %d does not become stable: %v", g.members, g.has)
	}
}

// member starts a member whose assignments the gathering hears of.
func (g *gathering) member(ctx context.Context, given settings, group, topic string, number int, failed chan<- error) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	go func() {
		var err error
		if given.protocol == "consumer" {
			one := &modern{connection: link, group: group, topic: topic, id: newMemberID(), beat: given.beat}
			one.told = func(partitions int) { g.tell(number, share{0, partitions}) }
			err = one.live(ctx)
		} else {
			one := &classic{connection: link, group: group, topic: topic, partitions: int32(given.partitions)}
			one.beat, one.session = given.beat, 45*time.Second
			one.synced = func(generation int32, partitions int) { g.tell(number, share{generation, partitions}) }
			err = one.live(ctx, nil)
		}
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}()
	return nil
}

func stable(given settings) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	topic := fmt.Sprintf("stable-%d", given.partitions)
	if _, err := link.createTopic(topic, int32(given.partitions)); err != nil {
		return err
	}
	for round := range given.rounds {
		group := fmt.Sprintf("stable-%s-%d-%d", given.protocol, time.Now().UnixNano(), round)
		if err := link.ready(group); err != nil {
			return err
		}
		ctx, end := context.WithCancel(context.Background())
		defer end()
		failed := make(chan error, 1)
		all := gather(given.members, given.partitions)
		begun := time.Now()
		for number := range given.members {
			if err := all.member(ctx, given, group, topic, number, failed); err != nil {
				return err
			}
		}
		at, err := all.wait(failed)
		if err != nil {
			return err
		}
		first := at.Sub(begun)
		time.Sleep(2 * time.Second)
		all.more()
		begun = time.Now()
		if err := all.member(ctx, given, group, topic, given.members, failed); err != nil {
			return err
		}
		if at, err = all.wait(failed); err != nil {
			return err
		}
		fmt.Printf("stable protocol=%s all_ms=%.0f one_more_ms=%.0f\n", given.protocol, ms(first), ms(at.Sub(begun)))
		end()
	}
	return nil
}
