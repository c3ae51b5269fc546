package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commits has each client commit one partition's offset for a group of its own, one commit at a time.
func commits(given settings) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	if _, err := link.createTopic("commits", 1); err != nil {
		return err
	}
	var (
		waiting sync.WaitGroup
		lock    sync.Mutex
		took    []time.Duration
		broken  error
	)
	// The first second warms up.
	warm := time.Now().Add(time.Second)
	end := warm.Add(given.duration)
	for number := range given.members {
		group := fmt.Sprintf("commits-%d", number)
		if err := link.ready(group); err != nil {
			return err
		}
		waiting.Go(func() {
			own, err := commitUntil(given.broker, group, warm, end)
			lock.Lock()
			defer lock.Unlock()
			took = append(took, own...)
			if err != nil {
				broken = err
			}
		})
	}
	waiting.Wait()
	if broken != nil {
		return broken
	}
	rate := float64(len(took)) / given.duration.Seconds()
	fmt.Printf("commits clients=%d per_second=%.0f p50_ms=%.2f p99_ms=%.2f\n", given.members, rate, ms(quantile(took, 0.5)), ms(quantile(took, 0.99)))
	return nil
}

func commitUntil(broker, group string, warm, end time.Time) (took []time.Duration, err error) {
	link, err := dial(broker)
	if err != nil {
		return nil, err
	}
	defer link.close()
	for offset := int64(0); ; offset++ {
		begun := time.Now()
		if begun.After(end) {
			return took, nil
		}
		if err := link.commit(group, "commits", offset); err != nil {
			return nil, err
		}
		if begun.After(warm) {
			took = append(took, time.Since(begun))
		}
	}
}

// commit stores an offset of a topic's first partition for a group without members.
func (c *connection) commit(group, topic string, offset int64) error {
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = group, -1
	of := kmsg.NewOffsetCommitRequestTopic()
	of.Topic = topic
	partition := kmsg.NewOffsetCommitRequestTopicPartition()
	partition.Offset = offset
	of.Partitions = append(of.Partitions, partition)
	commit.Topics = append(commit.Topics, of)
	answer, err := c.ask(commit, 9)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}
