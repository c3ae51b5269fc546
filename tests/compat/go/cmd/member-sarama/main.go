// Command member-sarama is a member of a group by sarama.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"

	"corelog/compat/suite"
)

// handler is told of each generation.
type handler struct{ member *suite.Member }

func (h handler) Setup(session sarama.ConsumerGroupSession) error {
	h.member.Gained(session.Claims()[h.member.Topic])
	return nil
}

func (h handler) Cleanup(session sarama.ConsumerGroupSession) error {
	h.member.Lost(session.Claims()[h.member.Topic])
	return nil
}

func (h handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			h.member.Read(message.Partition, message.Offset)
			session.MarkMessage(message, "")
			// This client's commit has no result; its errors come out of the group.
			session.Commit()
			h.member.Committed(message.Partition, message.Offset, session.Context().Err())
		case <-session.Context().Done():
			return nil
		}
	}
}

func main() {
	member, ctx := suite.StartMember()
	settings := sarama.NewConfig()
	settings.Version = sarama.V4_1_0_0
	settings.Consumer.Group.InstanceId = member.Instance
	settings.Consumer.Group.Session.Timeout = 6 * time.Second
	settings.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	settings.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	settings.Consumer.Offsets.Initial = sarama.OffsetOldest
	settings.Consumer.Offsets.AutoCommit.Enable = false
	group, err := sarama.NewConsumerGroup([]string{member.Bootstrap}, member.Group, settings)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		// It returns at the end of each generation.
		if err := group.Consume(ctx, []string{member.Topic}, handler{member}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	if err := group.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
