// Command member-kafka-go is a member of a group by segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/segmentio/kafka-go"

	"corelog/compat/suite"
)

func main() {
	member, ctx := suite.StartMember()
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                member.Group,
		Brokers:           []string{member.Bootstrap},
		Topics:            []string{member.Topic},
		GroupBalancers:    []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		SessionTimeout:    6 * time.Second,
		HeartbeatInterval: 500 * time.Millisecond,
		JoinGroupBackoff:  100 * time.Millisecond,
		StartOffset:       kafka.FirstOffset,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		generation, err := group.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, err)
			}
			continue
		}
		has := []int32{}
		for _, one := range generation.Assignments[member.Topic] {
			has = append(has, int32(one.ID))
			generation.Start(func(ctx context.Context) { read(ctx, member, generation, one) })
		}
		member.Gained(has)
		generation.Start(func(ctx context.Context) {
			<-ctx.Done()
			member.Lost(has)
		})
	}
	if err := group.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read reads a partition until its generation ends.
func read(ctx context.Context, member *suite.Member, generation *kafka.Generation, part kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{member.Bootstrap}, Topic: member.Topic, Partition: part.ID, MaxWait: 200 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(part.Offset); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, kafka.ErrGenerationEnded) {
				fmt.Fprintln(os.Stderr, err)
			}
			return
		}
		member.Read(int32(message.Partition), message.Offset)
		err = generation.CommitOffsets(map[string]map[int]int64{member.Topic: {message.Partition: message.Offset + 1}})
		member.Committed(int32(message.Partition), message.Offset, err)
	}
}
