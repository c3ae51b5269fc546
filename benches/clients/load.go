package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// load runs until stdin ends: half of the members in classic groups of a hundred and half in consumer groups, and one classic
// group of `partitions` members, one of which begins a rebalance as soon as all have their assignment. It says `ready` once all joined,
// and at the end how many rebalances there were.
func load(given settings) error {
	const size = 100
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	if _, err := link.createTopic("load", size); err != nil {
		return err
	}
	if _, err := link.createTopic("load-rebalance", int32(given.partitions)); err != nil {
		return err
	}
	if err := link.ready("load"); err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	failed := make(chan error, 1)
	groups := make([]*gathering, given.members/size)
	for number := range groups {
		of := given
		of.partitions = size
		if of.protocol = "classic"; number%2 == 1 {
			of.protocol = "consumer"
		}
		groups[number] = gather(size, size)
		for member := range size {
			if err := groups[number].member(ctx, of, fmt.Sprintf("load-%d", number), "load", member, failed); err != nil {
				return err
			}
		}
	}
	for _, group := range groups {
		if _, err := group.wait(failed); err != nil {
			return err
		}
	}
	if given.rounds > 0 {
		rebalances, err := rebalanceForever(ctx, given, failed)
		if err != nil {
			return err
		}
		defer func() { fmt.Println("load rebalances=" + strconv.FormatInt(rebalances.Load(), 10)) }()
	}
	fmt.Println("ready")
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends stdin ends the load
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case err := <-failed:
		return err
	}
}

// rebalanceForever keeps one group of `partitions` members in a rebalance.
func rebalanceForever(ctx context.Context, given settings, failed chan error) (*atomic.Int64, error) {
	rebalances := &atomic.Int64{}
	all := gather(given.partitions, given.partitions)
	again := make(chan struct{}, 1)
	for number := range given.partitions {
		link, err := dial(given.broker)
		if err != nil {
			return nil, err
		}
		one := &classic{connection: link, group: "load-rebalance", topic: "load-rebalance", partitions: int32(given.partitions)}
		one.beat, one.session = given.beat, 45*time.Second
		one.synced = func(generation int32, partitions int) { all.tell(number, share{generation, partitions}) }
		var begin <-chan struct{}
		if number == 0 {
			begin = again
			one.restless = true
		}
		go func() {
			if err := one.live(ctx, begin); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		}()
	}
	if _, err := all.wait(failed); err != nil {
		return nil, err
	}
	go func() {
		for ctx.Err() == nil {
			again <- struct{}{}
			select {
			case <-all.done:
				rebalances.Add(1)
			case <-ctx.Done():
			}
		}
	}()
	return rebalances, nil
}
