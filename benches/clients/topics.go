package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A request of topics names so many.
const topicsEach = 100

// topics makes many topics, asks for the metadata of all of them, and deletes them. A request has a hundred topics, and a
// step is over when metadata shows its result.
func topics(given settings) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	names := make([]string, given.members)
	for number := range names {
		names[number] = fmt.Sprintf("topics-%04d", number)
	}
	begun := time.Now()
	for at := 0; at < len(names); at += topicsEach {
		create := kmsg.NewPtrCreateTopicsRequest()
		create.TimeoutMillis = 60_000
		for _, name := range names[at:min(at+topicsEach, len(names))] {
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(given.partitions), 1
			create.Topics = append(create.Topics, topic)
		}
		created, err := link.ask(create, 7)
		if err != nil {
			return err
		}
		for _, topic := range created.(*kmsg.CreateTopicsResponse).Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
				return fmt.Errorf("%s: %w", topic.Topic, err)
			}
		}
	}
	if _, err := link.shown(len(names), given.partitions); err != nil {
		return err
	}
	creation := time.Since(begun)
	var asked []time.Duration
	size := 0
	for range 20 {
		begun := time.Now()
		if size, err = link.shown(len(names), given.partitions); err != nil {
			return err
		}
		asked = append(asked, time.Since(begun))
	}
	begun = time.Now()
	for at := 0; at < len(names); at += topicsEach {
		remove := kmsg.NewPtrDeleteTopicsRequest()
		remove.TimeoutMillis = 60_000
		for _, name := range names[at:min(at+topicsEach, len(names))] {
			topic := kmsg.NewDeleteTopicsRequestTopic()
			topic.Topic = kmsg.StringPtr(name)
			remove.Topics = append(remove.Topics, topic)
		}
		removed, err := link.ask(remove, 6)
		if err != nil {
			return err
		}
		for _, topic := range removed.(*kmsg.DeleteTopicsResponse).Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
				return fmt.Errorf("%s: %w", *topic.Topic, err)
			}
		}
	}
	if _, err := link.shown(0, 0); err != nil {
		return err
	}
	fmt.Printf("topics create_ms=%.0f metadata_p50_ms=%.2f metadata_bytes=%d delete_ms=%.0f\n",
		ms(creation), ms(quantile(asked, 0.5)), size, ms(time.Since(begun)))
	return nil
}

// shown waits until the metadata of all topics has so many of so many partitions each, all led, and gives its size in bytes.
func (c *connection) shown(topics, partitions int) (int, error) {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		metadata := kmsg.NewPtrMetadataRequest()
		metadata.Topics = nil
		told, err := c.ask(metadata, 12)
		if err != nil {
			return 0, err
		}
		seen, led := told.(*kmsg.MetadataResponse).Topics, true
		for _, topic := range seen {
			led = led && topic.ErrorCode == 0 && len(topic.Partitions) == partitions
			for _, partition := range topic.Partitions {
				led = led && partition.ErrorCode == 0
			}
		}
		if led && len(seen) == topics {
			return c.received, nil
		}
		if time.Since(begun) > 10*time.Minute {
			return 0, fmt.Errorf("metadata shows %d topics, not %d of %d partitions", len(seen), topics, partitions)
		}
	}
}
