// Command sarama tests a broker with sarama, case by case: sarama --bootstrap HOST:PORT [--only PART].
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"corelog/compat/suite"
)

// cluster is the broker to test.
type cluster struct {
	bootstrap []string
	admin     sarama.ClusterAdmin
}

func main() {
	options := suite.Flags()
	c := &cluster{bootstrap: []string{options.Bootstrap}}
	admin, err := sarama.NewClusterAdmin(c.bootstrap, settings())
	if err != nil {
		panic(err)
	}
	c.admin = admin
	cases := []suite.Case{
		{"create", "topics are made, shown, refused twice, deleted", c.topics},
		{"grow", "a topic grows and its new partitions take records", c.grow},
		{"by-use", "producing to an unknown topic makes it", c.madeByUse},
	}
	for codec, each := range suite.Codecs {
		name := fmt.Sprintf("records with keys and headers in %s come back as sent", each)
		cases = append(cases, suite.Case{Proves: each, Name: name, Run: func() error {
			return c.roundTrip("codec-"+each, suite.Keyed(500), func(s *sarama.Config) {
				// The codecs stand in the order of their numbers on the wire.
				s.Producer.Compression = sarama.CompressionCodec(codec)
			})
		}})
	}
	cases = append(cases, []suite.Case{
		{"idempotent", "idempotent records are acked once each, in order", c.idempotent},
		{"empty", "empty values, null values and null keys stay apart", c.empty},
		{"large", "records of 950,000 bytes come back as sent", c.large},
		{"too-large", "a record over max.message.bytes is refused, and the next one is taken", c.tooLarge},
		{"earliest offset", "reading starts at the earliest, and at an offset", c.readOffset},
		{"latest", "reading from the latest sees only what comes after", c.readLatest},
		{"timestamp", "reading starts at a timestamp", c.readTimestamp},
		{"many", "1,000 partitions are made, written and read", c.many},
	}...)
	suite.Run(options, append(cases, c.adminCases()...))
}

func settings(change ...func(*sarama.Config)) *sarama.Config {
	s := sarama.NewConfig()
	s.Version = sarama.V4_3_1_0
	s.Producer.Partitioner = sarama.NewManualPartitioner
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Return.Successes = true
	s.Consumer.Return.Errors = true
	for _, each := range change {
		each(s)
	}
	return s
}

func name(topic string) string { return suite.Name("sarama", topic) }

func (c *cluster) create(topic string, partitions int32, configs map[string]*string) (string, error) {
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}
	return name(topic), c.admin.CreateTopic(name(topic), detail, false)
}

// produce sends the records in order and gives their offsets; the first refusal is the error.
func (c *cluster) produce(topic string, partition int32, sent []suite.Record, change ...func(*sarama.Config)) ([]int64, error) {
	producer, err := sarama.NewSyncProducer(c.bootstrap, settings(change...))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, len(sent))
	for at, each := range sent {
		messages[at] = &sarama.ProducerMessage{Topic: topic, Partition: partition, Timestamp: each.Time}
		if each.Key != nil {
			messages[at].Key = sarama.ByteEncoder(each.Key)
		}
		if each.Value != nil {
			messages[at].Value = sarama.ByteEncoder(each.Value)
		}
		for _, header := range each.Headers {
			messages[at].Headers = append(messages[at].Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
	}
	err = producer.SendMessages(messages)
	var refused sarama.ProducerErrors
	if errors.As(err, &refused) {
		err = refused[0].Err
	}
	offsets := make([]int64, len(messages))
	for at, message := range messages {
		offsets[at] = message.Offset
	}
	return offsets, err
}

// read reads count records of a partition by assignment.
func (c *cluster) read(topic string, partition int32, from int64, count int) ([]suite.Record, error) {
	consumer, err := sarama.NewConsumer(c.bootstrap, settings())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	source, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	return take(source, count)
}

func take(source sarama.PartitionConsumer, count int) ([]suite.Record, error) {
	var records []suite.Record
	for len(records) < count {
		select {
		case message := <-source.Messages():
			record := suite.Record{Key: message.Key, Value: message.Value, Time: message.Timestamp, Offset: message.Offset}
			for _, header := range message.Headers {
				record.Headers = append(record.Headers, suite.Header{Key: string(header.Key), Value: header.Value})
			}
			records = append(records, record)
		case failed := <-source.Errors():
			return records, failed
		case <-time.After(suite.StepSeconds * time.Second):
			return records, fmt.Errorf("%d of %d records came", len(records), count)
		}
	}
	return records, nil
}

func (c *cluster) roundTrip(topic string, sent []suite.Record, change ...func(*sarama.Config)) error {
	made, err := c.create(topic, 1, nil)
	if err != nil {
		return err
	}
	return c.sendAndRead(made, sent, change...)
}

func (c *cluster) sendAndRead(topic string, sent []suite.Record, change ...func(*sarama.Config)) error {
	offsets, err := c.produce(topic, 0, sent, change...)
	if err != nil {
		return err
	}
	for at, offset := range offsets {
		if offset != int64(at) {
			return fmt.Errorf("record %d was acked at %d", at, offset)
		}
	}
	read, err := c.read(topic, 0, sarama.OffsetOldest, len(sent))
	if err != nil {
		return err
	}
	return suite.Same(sent, read, 0)
}

func text(value string) *string { return &value }

func (c *cluster) topics() error {
	topic, err := c.create("life", 3, map[string]*string{"segment.bytes": text("1048576")})
	if err != nil {
		return err
	}
	shown, err := c.admin.DescribeTopics([]string{topic})
	if err != nil || len(shown[0].Partitions) != 3 {
		return fmt.Errorf("shown: %v, %w", shown, err)
	}
	_, err = c.create("life", 3, nil)
	if err := suite.Refused(err, sarama.ErrTopicAlreadyExists); err != nil {
		return err
	}
	_, err = c.create("bad", 1, map[string]*string{"segment.bytes": text("many")})
	if err := suite.Refused(err, sarama.ErrInvalidConfig); err != nil {
		return err
	}
	there := func(topic string) (bool, error) {
		all, err := c.admin.ListTopics()
		_, found := all[topic]
		return found, err
	}
	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}
	if err := c.admin.CreateTopic(name("validated"), detail, true); err != nil {
		return err
	}
	if made, err := there(name("validated")); made || err != nil {
		return fmt.Errorf("validation made a topic, or: %w", err)
	}
	if err := c.admin.DeleteTopic(topic); err != nil {
		return err
	}
	err = suite.Until("the topic is gone", func() (bool, error) {
		found, err := there(topic)
		return !found, err
	})
	if err != nil {
		return err
	}
	return suite.Refused(c.admin.DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition)
}

func (c *cluster) grow() error {
	topic, err := c.create("grow", 2, nil)
	if err != nil {
		return err
	}
	if err := c.admin.CreatePartitions(topic, 5, nil, false); err != nil {
		return err
	}
	err = suite.Until("five partitions", func() (bool, error) {
		shown, err := c.admin.DescribeTopics([]string{topic})
		return err == nil && len(shown[0].Partitions) == 5, err
	})
	if err != nil {
		return err
	}
	sent := suite.Keyed(10)
	if _, err := c.produce(topic, 4, sent); err != nil {
		return err
	}
	read, err := c.read(topic, 4, sarama.OffsetOldest, 10)
	if err != nil {
		return err
	}
	return errors.Join(
		suite.Same(sent, read, 0),
		suite.Refused(c.admin.CreatePartitions(topic, 3, nil, false), sarama.ErrInvalidPartitions),
	)
}

func (c *cluster) madeByUse() error { return c.sendAndRead(name("made-by-use"), suite.Keyed(5)) }

func idempotence(s *sarama.Config) {
	s.Producer.Idempotent = true
	s.Net.MaxOpenRequests = 1
}

func (c *cluster) idempotent() error {
	return c.roundTrip("idempotent", suite.Keyed(1_000), idempotence, func(s *sarama.Config) { s.Producer.Flush.MaxMessages = 7 })
}

func (c *cluster) empty() error { return c.roundTrip("empty", suite.Empties()) }

func (c *cluster) large() error { return c.roundTrip("large", suite.Large()) }

func (c *cluster) tooLarge() error {
	topic, err := c.create("too-large", 1, map[string]*string{"max.message.bytes": text("100000")})
	if err != nil {
		return err
	}
	for _, each := range []struct {
		bytes  int
		wanted error
	}{{90_000, nil}, {100_001, sarama.ErrMessageSizeTooLarge}, {10, nil}} {
		_, err := c.produce(topic, 0, []suite.Record{{Value: suite.Noise(1, each.bytes)}})
		if err := suite.Refused(err, each.wanted); err != nil {
			return fmt.Errorf("%d bytes: %w", each.bytes, err)
		}
	}
	return nil
}

func (c *cluster) readOffset() error {
	topic, err := c.create("offset", 1, nil)
	if err != nil {
		return err
	}
	sent := suite.Keyed(100)
	if _, err := c.produce(topic, 0, sent, func(s *sarama.Config) { s.Producer.Flush.MaxMessages = 9 }); err != nil {
		return err
	}
	for _, from := range []int64{sarama.OffsetOldest, 41} {
		first := max(from, 0)
		read, err := c.read(topic, 0, from, len(sent)-int(first))
		if err != nil {
			return err
		}
		if err := suite.Same(sent[first:], read, first); err != nil {
			return err
		}
	}
	_, err = c.read(topic, 0, 1_000, 1)
	return suite.Refused(err, sarama.ErrOffsetOutOfRange)
}

func (c *cluster) readLatest() error {
	topic, err := c.create("latest", 1, nil)
	if err != nil {
		return err
	}
	if _, err := c.produce(topic, 0, suite.Keyed(10)); err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(c.bootstrap, settings())
	if err != nil {
		return err
	}
	defer consumer.Close()
	source, err := consumer.ConsumePartition(topic, 0, sarama.OffsetNewest)
	if err != nil {
		return err
	}
	defer source.Close()
	select {
	case <-source.Messages():
		return errors.New("an old record came")
	case <-time.After(500 * time.Millisecond):
	}
	sent := suite.Keyed(5)
	if _, err := c.produce(topic, 0, sent); err != nil {
		return err
	}
	later, err := take(source, 5)
	if err != nil {
		return err
	}
	return suite.Same(sent, later, 10)
}

func (c *cluster) readTimestamp() error {
	topic, err := c.create("timestamp", 1, nil)
	if err != nil {
		return err
	}
	sent := suite.Timed(100)
	if _, err := c.produce(topic, 0, sent, func(s *sarama.Config) { s.Producer.Flush.MaxMessages = 9 }); err != nil {
		return err
	}
	client, err := sarama.NewClient(c.bootstrap, settings())
	if err != nil {
		return err
	}
	defer client.Close()
	from, err := client.GetOffset(topic, 0, suite.T0.UnixMilli()+70_001)
	if err != nil || from != 71 {
		return fmt.Errorf("found %d, %w", from, err)
	}
	read, err := c.read(topic, 0, from, 29)
	if err != nil {
		return err
	}
	return suite.Same(sent[71:], read, 71)
}

func (c *cluster) many() error {
	topic, err := c.create("many", suite.Many, nil)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(c.bootstrap, settings(idempotence))
	if err != nil {
		return err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for number := range 3 {
		for partition := range int32(suite.Many) {
			value := sarama.StringEncoder(fmt.Sprintf("%d:%d", partition, number))
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: value})
		}
	}
	if err := producer.SendMessages(messages); err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(c.bootstrap, settings())
	if err != nil {
		return err
	}
	defer consumer.Close()
	// This client reads each partition through a channel of its own, all of a broker's in one fetch.
	var sources []sarama.PartitionConsumer
	for partition := range int32(suite.Many) {
		source, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	for partition, source := range sources {
		read, err := take(source, 3)
		if err != nil {
			return fmt.Errorf("partition %d: %w", partition, err)
		}
		for number, record := range read {
			if wanted := fmt.Sprintf("%d:%d", partition, number); string(record.Value) != wanted || record.Offset != int64(number) {
				return fmt.Errorf("offset %d: %q, not %q", record.Offset, record.Value, wanted)
			}
		}
		source.AsyncClose()
	}
	return c.admin.DeleteTopic(topic)
}
