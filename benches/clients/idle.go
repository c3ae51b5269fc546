package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// idle measures the processor's time that consumers cost who wait for records that do not come: each has a connection and
// a fetch session, and asks again when its 500 ms are over.
func idle(given settings) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	id, err := link.createTopic("idle", int32(given.partitions))
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	failed := make(chan error, given.members)
	for number := range given.members {
		go func() {
			if err := wait(ctx, given.broker, id, int32(number%given.partitions)); err != nil {
				failed <- err
			}
		}()
	}
	time.Sleep(3 * time.Second)
	before, err := spent(given.pid)
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-time.After(given.duration):
	}
	after, err := spent(given.pid)
	if err != nil {
		return err
	}
	fmt.Printf("idle clients=%d cpu_percent=%.1f\n", given.members, 100*(after-before).Seconds()/given.duration.Seconds())
	return nil
}

// wait is one consumer at the end of an empty partition.
func wait(ctx context.Context, broker string, id [16]byte, partition int32) error {
	link, err := dial(broker)
	if err != nil {
		return err
	}
	defer link.close()
	session, epoch := int32(0), int32(0)
	for ctx.Err() == nil {
		fetch := kmsg.NewPtrFetchRequest()
		fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes = 500, 1, 50<<20
		fetch.SessionID, fetch.SessionEpoch = session, epoch
		if epoch == 0 {
			topic := kmsg.NewFetchRequestTopic()
			one := kmsg.NewFetchRequestTopicPartition()
			one.Partition, one.PartitionMaxBytes = partition, 1<<20
			topic.TopicID, topic.Partitions = id, append(topic.Partitions, one)
			fetch.Topics = append(fetch.Topics, topic)
		}
		answer, err := link.ask(fetch, 13)
		if err != nil {
			return err
		}
		fetched := answer.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
			return err
		}
		// A broker that keeps no more sessions gives 0: each fetch then names its partition.
		if session = fetched.SessionID; session != 0 {
			epoch++
		}
	}
	return nil
}

// spent is the processor's time that a process has used, in ticks of 10 ms.
func spent(pid int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// After the name, which is in brackets and may have blanks: the 12th and 13th of what follows.
	words := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	var ticks int
	for _, word := range words[11:13] {
		one, err := strconv.Atoi(word)
		if err != nil {
			return 0, err
		}
		ticks += one
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
