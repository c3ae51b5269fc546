// Command member-franz-go is a member of a group by franz-go.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"corelog/compat/suite"
)

func main() {
	member, ctx := suite.StartMember()
	balancer := kgo.RangeBalancer()
	if member.Cooperative {
		balancer = kgo.CooperativeStickyBalancer()
	}
	tell := func(to func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			if len(topics[member.Topic]) > 0 {
				to(topics[member.Topic])
			}
		}
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(member.Bootstrap),
		kgo.ConsumerGroup(member.Group),
		kgo.ConsumeTopics(member.Topic),
		kgo.Balancers(balancer),
		kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(tell(member.Gained)),
		kgo.OnPartitionsRevoked(tell(member.Lost)),
		kgo.OnPartitionsLost(tell(member.Lost)),
	}
	if member.ServerSide {
		settings = append(settings, kgo.ServerSideBalancer())
	}
	if member.Instance != "" {
		settings = append(settings, kgo.InstanceID(member.Instance))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		client.PollRecords(ctx, 1).EachRecord(func(record *kgo.Record) {
			member.Read(record.Partition, record.Offset)
			err := client.CommitRecords(context.Background(), record)
			member.Committed(record.Partition, record.Offset, err)
		})
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
}
