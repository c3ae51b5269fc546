package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// classic is a member of the classic protocol: an eager one, whose leader deals out the partitions in ranges.
type classic struct {
	*connection
	group, topic, id string
	partitions       int32
	generation       int32
	beat, session    time.Duration
	// restless members subscribe anew with each join, which begins a rebalance.
	restless bool
	joins    int
	// synced hears of each assignment.
	synced func(generation int32, partitions int)
}

// join enters the group's next generation; it is back when the member has its assignment.
func (m *classic) join() error {
	for {
		leader, members, err := m.joinOnce()
		if err == kerr.MemberIDRequired {
			continue
		}
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.Generation, sync.MemberID = m.group, m.generation, m.id
		sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		if leader {
			sync.GroupAssignment = m.assign(members)
		}
		answer, err := m.ask(sync, 5)
		if err != nil {
			return err
		}
		reply := answer.(*kmsg.SyncGroupResponse)
		err = kerr.ErrorForCode(reply.ErrorCode)
		if err == kerr.RebalanceInProgress {
			continue
		}
		if err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		var assignment kmsg.ConsumerMemberAssignment
		if err := assignment.ReadFrom(reply.MemberAssignment); err != nil {
			return err
		}
		count := 0
		for _, topic := range assignment.Topics {
			count += len(topic.Partitions)
		}
		if m.synced != nil {
			m.synced(m.generation, count)
		}
		return nil
	}
}

func (m *classic) joinOnce() (leader bool, members []kmsg.JoinGroupResponseMember, err error) {
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Topics = []string{m.topic}
	if m.joins++; m.restless {
		subscription.UserData = fmt.Append(nil, m.joins)
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.MemberID, join.ProtocolType = m.group, m.id, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = int32(m.session.Milliseconds()), 60_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "range", subscription.AppendTo(nil)
	join.Protocols = append(join.Protocols, protocol)
	answer, err := m.ask(join, 9)
	if err != nil {
		return false, nil, err
	}
	reply := answer.(*kmsg.JoinGroupResponse)
	m.id, m.generation = reply.MemberID, reply.Generation
	return reply.LeaderID == reply.MemberID && reply.ErrorCode == 0, reply.Members, kerr.ErrorForCode(reply.ErrorCode)
}

func (m *classic) assign(members []kmsg.JoinGroupResponseMember) (assignments []kmsg.SyncGroupRequestGroupAssignment) {
	slices.SortFunc(members, func(a, b kmsg.JoinGroupResponseMember) int { return strings.Compare(a.MemberID, b.MemberID) })
	next := int32(0)
	for at, member := range members {
		end := int32(int64(m.partitions) * int64(at+1) / int64(len(members)))
		plan := kmsg.NewConsumerMemberAssignment()
		topic := kmsg.NewConsumerMemberAssignmentTopic()
		topic.Topic = m.topic
		for ; next < end; next++ {
			topic.Partitions = append(topic.Partitions, next)
		}
		plan.Topics = append(plan.Topics, topic)
		assignment := kmsg.NewSyncGroupRequestGroupAssignment()
		assignment.MemberID, assignment.MemberAssignment = member.MemberID, plan.AppendTo(nil)
		assignments = append(assignments, assignment)
	}
	return assignments
}

// live joins and shows that it lives until the context ends. A signal on `again` makes it join though nothing asks
// for it.
func (m *classic) live(ctx context.Context, again <-chan struct{}) error {
	defer m.close()
	defer context.AfterFunc(ctx, m.close)()
	if err := m.join(); err != nil {
		return ended(ctx, err)
	}
	ticks := time.NewTicker(m.beat)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			if err := m.join(); err != nil {
				return ended(ctx, err)
			}
			ticks.Reset(m.beat)
			continue
		case <-ticks.C:
		}
		heartbeat := kmsg.NewPtrHeartbeatRequest()
		heartbeat.Group, heartbeat.Generation, heartbeat.MemberID = m.group, m.generation, m.id
		answer, err := m.ask(heartbeat, 4)
		if err != nil {
			return ended(ctx, err)
		}
		err = kerr.ErrorForCode(answer.(*kmsg.HeartbeatResponse).ErrorCode)
		if err == kerr.RebalanceInProgress {
			if err = m.join(); err == nil {
				ticks.Reset(m.beat)
			}
		}
		if err != nil {
			return ended(ctx, err)
		}
	}
}

// ended is nil where the member was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
