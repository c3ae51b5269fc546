package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// modern is a member of the consumer protocol (KIP-848). It takes and gives up what it is told at once.
type modern struct {
	*connection
	group, topic, id string
	epoch            int32
	// beat is the time between heartbeats; zero leaves it to the broker.
	beat time.Duration
	owns []kmsg.ConsumerGroupHeartbeatRequestTopic
	// told hears of how many partitions the member has, once the broker knows that it has them.
	told func(partitions int)
}

func newMemberID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// heartbeat says what the member has when that changed, and takes the assignment of the reply; `news` is whether one came.
func (m *modern) heartbeat(changed bool) (news bool, every time.Duration, err error) {
	request := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	request.Group, request.MemberID, request.MemberEpoch = m.group, m.id, m.epoch
	request.RebalanceTimeoutMillis = -1
	if m.epoch == 0 {
		request.RebalanceTimeoutMillis = 60_000
		request.SubscribedTopicNames = []string{m.topic}
		request.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	} else if changed {
		request.Topics = m.owns
	}
	answer, err := m.ask(request, 1)
	if err != nil {
		return false, 0, err
	}
	reply := answer.(*kmsg.ConsumerGroupHeartbeatResponse)
	if err := kerr.ErrorForCode(reply.ErrorCode); err != nil {
		return false, 0, fmt.Errorf("heartbeat: %w", err)
	}
	m.epoch = reply.MemberEpoch
	if changed && m.told != nil {
		count := 0
		for _, topic := range m.owns {
			count += len(topic.Partitions)
		}
		m.told(count)
	}
	every = time.Duration(reply.HeartbeatIntervalMillis) * time.Millisecond
	if m.beat != 0 {
		every = m.beat
	}
	if reply.Assignment == nil {
		return false, every, nil
	}
	m.owns = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, topic := range reply.Assignment.Topics {
		one := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		one.TopicID, one.Partitions = topic.TopicID, topic.Partitions
		m.owns = append(m.owns, one)
	}
	return true, every, nil
}

// live joins and shows that it lives until the context ends; what it is assigned it acknowledges at once.
func (m *modern) live(ctx context.Context) error {
	defer m.close()
	defer context.AfterFunc(ctx, m.close)()
	for changed := false; ; {
		news, every, err := m.heartbeat(changed)
		if err != nil {
			return ended(ctx, err)
		}
		if changed = news; changed {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}
