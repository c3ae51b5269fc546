// Command kafka-go tests a broker with segmentio/kafka-go, case by case: kafka-go --bootstrap HOST:PORT [--only PART].
// This client has no idempotent producer, and reads null and empty as one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"corelog/compat/suite"
)

// cluster is the broker to test.
type cluster struct {
	bootstrap string
	client    *kafka.Client
	ctx       context.Context
}

func main() {
	options := suite.Flags()
	c := &cluster{
		bootstrap: options.Bootstrap,
		client: &kafka.Client{
			Addr:    kafka.TCP(options.Bootstrap),
			Timeout: 10 * time.Second,
			// Metadata is asked of a cache.
			Transport: &kafka.Transport{MetadataTTL: 100 * time.Millisecond},
		},
		ctx: context.Background(),
	}
	cases := []suite.Case{
		{"create", "topics are made, shown, refused twice, deleted", c.topics},
		{"grow", "a topic grows and its new partitions take records", c.grow},
		{"by-use", "producing to an unknown topic makes it", c.madeByUse},
	}
	for codec, each := range suite.Codecs {
		name := fmt.Sprintf("records with keys and headers in %s come back as sent", each)
		cases = append(cases, suite.Case{Proves: each, Name: name, Run: func() error {
			// The codecs stand in the order of their numbers on the wire.
			return c.roundTrip("codec-"+each, suite.Keyed(500), kafka.Writer{Compression: kafka.Compression(codec)})
		}})
	}
	cases = append(cases, []suite.Case{
		{"empty", "empty and null keys and values come back, if as one", c.empty},
		{"large", "records of 950,000 bytes come back as sent", c.large},
		{"too-large", "a record over max.message.bytes is refused, and the next one is taken", c.tooLarge},
		{"earliest offset", "reading starts at the earliest, and at an offset", c.readOffset},
		{"latest", "reading from the latest sees only what comes after", c.readLatest},
		{"timestamp", "reading starts at a timestamp", c.readTimestamp},
		{"many", "1,000 partitions are made, written and read", c.many},
	}...)
	suite.Run(options, append(cases, c.adminCases()...))
}

func name(topic string) string { return suite.Name("kafka-go", topic) }

func (c *cluster) create(topic string, partitions int, configs ...kafka.ConfigEntry) (string, error) {
	asked := kafka.TopicConfig{Topic: name(topic), NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}
	answer, err := c.client.CreateTopics(c.ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{asked}})
	if err != nil {
		return "", err
	}
	return name(topic), answer.Errors[name(topic)]
}

// partitions is how many a topic has, 0 without such a topic.
func (c *cluster) partitions(topic string) (int, error) {
	shown, err := c.client.Metadata(c.ctx, &kafka.MetadataRequest{})
	if err != nil {
		return 0, err
	}
	for _, each := range shown.Topics {
		if each.Name == topic {
			return len(each.Partitions), each.Error
		}
	}
	return 0, nil
}

// produce sends the records in order and gives their offsets; the first refusal is the error.
func (c *cluster) produce(topic string, partition int, sent []suite.Record, writer kafka.Writer) ([]int64, error) {
	var lock sync.Mutex
	var offsets []int64
	w := &kafka.Writer{
		Addr:                   kafka.TCP(c.bootstrap),
		Topic:                  topic,
		RequiredAcks:           kafka.RequireAll,
		Balancer:               kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition }),
		BatchSize:              max(writer.BatchSize, 100),
		BatchBytes:             1_100_000,
		BatchTimeout:           5 * time.Millisecond,
		Compression:            writer.Compression,
		AllowAutoTopicCreation: true,
		Transport:              c.client.Transport,
		Completion: func(messages []kafka.Message, err error) {
			lock.Lock()
			defer lock.Unlock()
			for _, message := range messages {
				offsets = append(offsets, message.Offset)
			}
		},
	}
	defer w.Close()
	messages := make([]kafka.Message, len(sent))
	for at, each := range sent {
		messages[at] = kafka.Message{Key: each.Key, Value: each.Value, Time: each.Time}
		for _, header := range each.Headers {
			messages[at].Headers = append(messages[at].Headers, kafka.Header{Key: header.Key, Value: header.Value})
		}
	}
	err := w.WriteMessages(c.ctx, messages...)
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		err = errors.Join(each...)
	}
	lock.Lock()
	defer lock.Unlock()
	return offsets, err
}

func (c *cluster) reader(topic string, partition int, from int64) (*kafka.Reader, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{c.bootstrap}, Topic: topic, Partition: partition, MaxBytes: 2_000_000, MaxWait: 100 * time.Millisecond,
		OffsetOutOfRangeError: true,
	})
	return reader, reader.SetOffset(from)
}

// read reads count records of a partition by assignment.
func (c *cluster) read(topic string, partition int, from int64, count int) ([]suite.Record, error) {
	reader, err := c.reader(topic, partition, from)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return c.take(reader, count)
}

func (c *cluster) take(reader *kafka.Reader, count int) ([]suite.Record, error) {
	ctx, cancel := context.WithTimeout(c.ctx, suite.StepSeconds*time.Second)
	defer cancel()
	var records []suite.Record
	for len(records) < count {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return records, fmt.Errorf("after %d of %d records: %w", len(records), count, err)
		}
		record := suite.Record{Key: message.Key, Value: message.Value, Time: message.Time, Offset: message.Offset}
		for _, header := range message.Headers {
			record.Headers = append(record.Headers, suite.Header{Key: header.Key, Value: header.Value})
		}
		records = append(records, record)
	}
	return records, nil
}

func (c *cluster) roundTrip(topic string, sent []suite.Record, writer kafka.Writer) error {
	made, err := c.create(topic, 1)
	if err != nil {
		return err
	}
	return c.sendAndRead(made, sent, writer)
}

func (c *cluster) sendAndRead(topic string, sent []suite.Record, writer kafka.Writer) error {
	offsets, err := c.produce(topic, 0, sent, writer)
	if err != nil {
		return err
	}
	for at, offset := range offsets {
		if offset != int64(at) {
			return fmt.Errorf("record %d was acked at %d", at, offset)
		}
	}
	read, err := c.read(topic, 0, kafka.FirstOffset, len(sent))
	if err != nil {
		return err
	}
	return errors.Join(suite.Check(len(offsets) == len(sent), "%d acks", len(offsets)), suite.SameBytes(sent, read, 0))
}

func (c *cluster) topics() error {
	topic, err := c.create("life", 3, kafka.ConfigEntry{ConfigName: "segment.bytes", ConfigValue: "1048576"})
	if err != nil {
		return err
	}
	shown, err := c.partitions(topic)
	if err != nil || shown != 3 {
		return fmt.Errorf("%d partitions, %w", shown, err)
	}
	_, again := c.create("life", 3)
	_, bad := c.create("bad", 1, kafka.ConfigEntry{ConfigName: "segment.bytes", ConfigValue: "many"})
	remove := func() error {
		answer, err := c.client.DeleteTopics(c.ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		return answer.Errors[topic]
	}
	return errors.Join(
		suite.Refused(again, kafka.TopicAlreadyExists),
		suite.Refused(bad, kafka.InvalidConfiguration),
		remove(),
		suite.Until("the topic is gone", func() (bool, error) {
			left, err := c.partitions(topic)
			return left == 0, err
		}),
		suite.Refused(remove(), kafka.UnknownTopicOrPartition),
	)
}

func (c *cluster) grow() error {
	topic, err := c.create("grow", 2)
	if err != nil {
		return err
	}
	grow := func(count int32) error {
		asked := []kafka.TopicPartitionsConfig{{Name: topic, Count: count}}
		answer, err := c.client.CreatePartitions(c.ctx, &kafka.CreatePartitionsRequest{Topics: asked})
		if err != nil {
			return err
		}
		return answer.Errors[topic]
	}
	if err := grow(5); err != nil {
		return err
	}
	err = suite.Until("five partitions", func() (bool, error) {
		shown, err := c.partitions(topic)
		return shown == 5, err
	})
	if err != nil {
		return err
	}
	sent := suite.Keyed(10)
	if _, err := c.produce(topic, 4, sent, kafka.Writer{}); err != nil {
		return err
	}
	read, err := c.read(topic, 4, kafka.FirstOffset, 10)
	if err != nil {
		return err
	}
	return errors.Join(suite.SameBytes(sent, read, 0), suite.Refused(grow(3), kafka.InvalidPartitionNumber))
}

func (c *cluster) madeByUse() error {
	// The first write asks for the topic; this client leaves it to the caller to write again.
	err := suite.Until("the topic is there", func() (bool, error) {
		_, err := c.produce(name("made-by-use"), 0, suite.Keyed(5), kafka.Writer{})
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	read, err := c.read(name("made-by-use"), 0, kafka.FirstOffset, 5)
	if err != nil {
		return err
	}
	return suite.SameBytes(suite.Keyed(5), read, 0)
}

func (c *cluster) empty() error { return c.roundTrip("empty", suite.Empties(), kafka.Writer{}) }

func (c *cluster) large() error { return c.roundTrip("large", suite.Large(), kafka.Writer{}) }

func (c *cluster) tooLarge() error {
	topic, err := c.create("too-large", 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "100000"})
	if err != nil {
		return err
	}
	for _, each := range []struct {
		bytes  int
		wanted error
	}{{90_000, nil}, {100_001, kafka.MessageSizeTooLarge}, {10, nil}} {
		_, err := c.produce(topic, 0, []suite.Record{{Value: suite.Noise(1, each.bytes)}}, kafka.Writer{})
		if err := suite.Refused(err, each.wanted); err != nil {
			return fmt.Errorf("%d bytes: %w", each.bytes, err)
		}
	}
	return nil
}

func (c *cluster) readOffset() error {
	topic, err := c.create("offset", 1)
	if err != nil {
		return err
	}
	sent := suite.Keyed(100)
	if _, err := c.produce(topic, 0, sent, kafka.Writer{}); err != nil {
		return err
	}
	for _, from := range []int64{kafka.FirstOffset, 41} {
		first := max(from, 0)
		read, err := c.read(topic, 0, from, len(sent)-int(first))
		if err != nil {
			return err
		}
		if err := suite.SameBytes(sent[first:], read, first); err != nil {
			return err
		}
	}
	_, err = c.read(topic, 0, 1_000, 1)
	return suite.Refused(err, kafka.OffsetOutOfRange)
}

func (c *cluster) readLatest() error {
	topic, err := c.create("latest", 1)
	if err != nil {
		return err
	}
	if _, err := c.produce(topic, 0, suite.Keyed(10), kafka.Writer{}); err != nil {
		return err
	}
	reader, err := c.reader(topic, 0, kafka.LastOffset)
	if err != nil {
		return err
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(c.ctx, 500*time.Millisecond)
	_, err = reader.ReadMessage(ctx)
	cancel()
	if err := suite.Refused(err, context.DeadlineExceeded); err != nil {
		return err
	}
	sent := suite.Keyed(5)
	if _, err := c.produce(topic, 0, sent, kafka.Writer{}); err != nil {
		return err
	}
	later, err := c.take(reader, 5)
	if err != nil {
		return err
	}
	return suite.SameBytes(sent, later, 10)
}

func (c *cluster) readTimestamp() error {
	topic, err := c.create("timestamp", 1)
	if err != nil {
		return err
	}
	sent := suite.Timed(100)
	if _, err := c.produce(topic, 0, sent, kafka.Writer{}); err != nil {
		return err
	}
	reader, err := c.reader(topic, 0, kafka.FirstOffset)
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := reader.SetOffsetAt(c.ctx, suite.T0.Add(70_001*time.Millisecond)); err != nil {
		return err
	}
	read, err := c.take(reader, 29)
	if err != nil {
		return err
	}
	return suite.SameBytes(sent[71:], read, 71)
}

// One reader is one connection here, so this case reads with one fetch for each partition.
func (c *cluster) many() error {
	topic, err := c.create("many", suite.Many)
	if err != nil {
		return err
	}
	at := 0
	w := &kafka.Writer{
		Addr:         kafka.TCP(c.bootstrap),
		Topic:        topic,
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond,
		Transport:    c.client.Transport,
		Balancer: kafka.BalancerFunc(func(kafka.Message, ...int) int {
			partition := at % suite.Many
			at++
			return partition
		}),
	}
	defer w.Close()
	var messages []kafka.Message
	for number := range 3 {
		for partition := range suite.Many {
			messages = append(messages, kafka.Message{Value: fmt.Appendf(nil, "%d:%d", partition, number)})
		}
	}
	if err := w.WriteMessages(c.ctx, messages...); err != nil {
		return err
	}
	for partition := range suite.Many {
		fetched, err := c.client.Fetch(c.ctx, &kafka.FetchRequest{
			Topic: topic, Partition: partition, MinBytes: 1, MaxBytes: 10_000, MaxWait: time.Second,
		})
		if err != nil || fetched.Error != nil {
			return fmt.Errorf("partition %d: %w", partition, errors.Join(err, fetched.Error))
		}
		for number := range int64(3) {
			record, err := fetched.Records.ReadRecord()
			if err != nil {
				return fmt.Errorf("partition %d: %w", partition, err)
			}
			value, err := io.ReadAll(record.Value)
			if wanted := fmt.Sprintf("%d:%d", partition, number); err != nil || record.Offset != number || string(value) != wanted {
				return fmt.Errorf("offset %d: %q, not %q; %w", record.Offset, value, wanted, err)
			}
		}
	}
	_, err = c.client.DeleteTopics(c.ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	return err
}
