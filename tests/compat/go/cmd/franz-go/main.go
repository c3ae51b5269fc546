// Command franz-go tests a broker with franz-go, case by case: franz-go --bootstrap HOST:PORT [--only PART].
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"corelog/compat/suite"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

// cluster is the broker to test.
type cluster struct {
	bootstrap string
	admin     *kadm.Client
	ctx       context.Context
}

func main() {
	options := suite.Flags()
	c := &cluster{bootstrap: options.Bootstrap, ctx: context.Background()}
	client, err := c.client()
	if err != nil {
		panic(err)
	}
	c.admin = kadm.NewClient(client)
	cases := []suite.Case{
		{"create", "topics are made, shown, refused twice, deleted", c.topics},
		{"grow", "a topic grows and its new partitions take records", c.grow},
		{"by-use", "producing to an unknown topic makes it", c.madeByUse},
	}
	for _, codec := range suite.Codecs {
		name := fmt.Sprintf("records with keys and headers in %s come back as sent", codec)
		cases = append(cases, suite.Case{Proves: codec, Name: name, Run: func() error {
			return c.roundTrip("codec-"+codec, suite.Keyed(500), kgo.ProducerBatchCompression(codecs[codec]))
		}})
	}
	cases = append(cases, []suite.Case{
		{"idempotent", "idempotent records are acked once each, in order", c.idempotent},
		{"none", "records of a producer that is not idempotent are acked too", c.plain},
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

func (c *cluster) client(options ...kgo.Opt) (*kgo.Client, error) {
	always := []kgo.Opt{kgo.SeedBrokers(c.bootstrap), kgo.MetadataMinAge(20 * time.Millisecond)}
	return kgo.NewClient(append(always, options...)...)
}

func name(topic string) string { return suite.Name("franz-go", topic) }

func (c *cluster) create(topic string, partitions int32, configs map[string]*string) (string, error) {
	made, err := c.admin.CreateTopic(c.ctx, partitions, 1, configs, name(topic))
	return name(topic), errors.Join(err, made.Err)
}

// produce sends the records in order and gives their offsets; the first refusal is the error.
func (c *cluster) produce(topic string, partition int32, sent []suite.Record, options ...kgo.Opt) ([]int64, error) {
	client, err := c.client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(sent))
	for at, each := range sent {
		records[at] = &kgo.Record{Topic: topic, Partition: partition, Key: each.Key, Value: each.Value, Timestamp: each.Time}
		for _, header := range each.Headers {
			records[at].Headers = append(records[at].Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
	}
	results := client.ProduceSync(c.ctx, records...)
	offsets := make([]int64, len(records))
	for at, record := range records {
		offsets[at] = record.Offset
	}
	return offsets, results.FirstErr()
}

// read reads count records of a partition by assignment, without a group.
func (c *cluster) read(topic string, partition int32, from kgo.Offset, count int) ([]suite.Record, error) {
	client, err := c.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: from}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found, err := c.take(client, count)
	records := make([]suite.Record, len(found))
	for at, each := range found {
		records[at] = suite.Record{Key: each.Key, Value: each.Value, Time: each.Timestamp, Offset: each.Offset}
		for _, header := range each.Headers {
			records[at].Headers = append(records[at].Headers, suite.Header{Key: header.Key, Value: header.Value})
		}
	}
	return records, err
}

func (c *cluster) take(client *kgo.Client, count int) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(c.ctx, suite.StepSeconds*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollRecords(ctx, count-len(records))
		if err := fetches.Err(); err != nil {
			return records, fmt.Errorf("after %d of %d records: %w", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

// roundTrip makes a topic, sends the records and reads them back.
func (c *cluster) roundTrip(topic string, sent []suite.Record, options ...kgo.Opt) error {
	made, err := c.create(topic, 1, nil)
	if err != nil {
		return err
	}
	return c.sendAndRead(made, sent, options...)
}

func (c *cluster) sendAndRead(topic string, sent []suite.Record, options ...kgo.Opt) error {
	offsets, err := c.produce(topic, 0, sent, options...)
	if err != nil {
		return err
	}
	for at, offset := range offsets {
		if offset != int64(at) {
			return fmt.Errorf("record %d was acked at %d", at, offset)
		}
	}
	read, err := c.read(topic, 0, kgo.NewOffset().AtStart(), len(sent))
	if err != nil {
		return err
	}
	return suite.Same(sent, read, 0)
}

func (c *cluster) topics() error {
	topic, err := c.create("life", 3, map[string]*string{"segment.bytes": kadm.StringPtr("1048576")})
	if err != nil {
		return err
	}
	shown, err := c.admin.ListTopics(c.ctx, topic)
	if err != nil || len(shown[topic].Partitions) != 3 {
		return fmt.Errorf("shown: %v, %v", shown, err)
	}
	_, err = c.create("life", 3, nil)
	if err := suite.Refused(err, kerr.TopicAlreadyExists); err != nil {
		return err
	}
	_, err = c.create("bad", 1, map[string]*string{"segment.bytes": kadm.StringPtr("many")})
	if err := suite.Refused(err, kerr.InvalidConfig); err != nil {
		return err
	}
	validated, err := c.admin.ValidateCreateTopics(c.ctx, 2, 1, nil, name("validated"))
	if err := errors.Join(err, validated.Error()); err != nil {
		return err
	}
	all, err := c.admin.ListTopics(c.ctx)
	if err != nil || all.Has(name("validated")) {
		return fmt.Errorf("validation made a topic, or: %v", err)
	}
	if _, err := c.admin.DeleteTopic(c.ctx, topic); err != nil {
		return err
	}
	err = suite.Until("the topic is gone", func() (bool, error) {
		all, err := c.admin.ListTopics(c.ctx)
		return !all.Has(topic), err
	})
	if err != nil {
		return err
	}
	gone, err := c.admin.DeleteTopic(c.ctx, topic)
	return suite.Refused(errors.Join(err, gone.Err), kerr.UnknownTopicOrPartition)
}

func (c *cluster) grow() error {
	topic, err := c.create("grow", 2, nil)
	if err != nil {
		return err
	}
	grown, err := c.admin.UpdatePartitions(c.ctx, 5, topic)
	if err := errors.Join(err, grown.Error()); err != nil {
		return err
	}
	err = suite.Until("five partitions", func() (bool, error) {
		shown, err := c.admin.ListTopics(c.ctx, topic)
		return len(shown[topic].Partitions) == 5, err
	})
	if err != nil {
		return err
	}
	sent := suite.Keyed(10)
	if _, err := c.produce(topic, 4, sent); err != nil {
		return err
	}
	read, err := c.read(topic, 4, kgo.NewOffset().AtStart(), 10)
	if err != nil {
		return err
	}
	return suite.Same(sent, read, 0)
}

func (c *cluster) madeByUse() error { return c.sendAndRead(name("made-by-use"), suite.Keyed(5)) }

func (c *cluster) idempotent() error {
	return c.roundTrip("idempotent", suite.Keyed(2_000), kgo.ProducerBatchMaxBytes(2_048), kgo.ProducerLinger(0))
}

func (c *cluster) plain() error {
	return c.roundTrip("plain", suite.Keyed(300), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
}

func (c *cluster) empty() error { return c.roundTrip("empty", suite.Empties()) }

func (c *cluster) large() error {
	return c.roundTrip("large", suite.Large(), kgo.ProducerBatchCompression(kgo.NoCompression()))
}

func (c *cluster) tooLarge() error {
	topic, err := c.create("too-large", 1, map[string]*string{"max.message.bytes": kadm.StringPtr("100000")})
	if err != nil {
		return err
	}
	for _, each := range []struct {
		bytes  int
		wanted error
	}{{90_000, nil}, {100_001, kerr.MessageTooLarge}, {10, nil}} {
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
	if _, err := c.produce(topic, 0, sent, kgo.ProducerBatchMaxBytes(2_048)); err != nil {
		return err
	}
	for from, offset := range map[int64]kgo.Offset{
		0: kgo.NewOffset().AtStart(), 41: kgo.NewOffset().At(41), 97: kgo.NewOffset().AtEnd().Relative(-3),
	} {
		read, err := c.read(topic, 0, offset, 100-int(from))
		if err != nil {
			return err
		}
		if err := suite.Same(sent[from:], read, from); err != nil {
			return err
		}
	}
	_, err = c.read(topic, 0, kgo.NewOffset().At(1_000), 1)
	return suite.Refused(err, kerr.OffsetOutOfRange)
}

func (c *cluster) readLatest() error {
	topic, err := c.create("latest", 1, nil)
	if err != nil {
		return err
	}
	if _, err := c.produce(topic, 0, suite.Keyed(10)); err != nil {
		return err
	}
	client, err := c.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtEnd()}}))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.ctx, 500*time.Millisecond)
	early := client.PollFetches(ctx)
	cancel()
	if !early.Empty() {
		return errors.New("an old record came")
	}
	if _, err := c.produce(topic, 0, suite.Keyed(5)); err != nil {
		return err
	}
	later, err := c.take(client, 5)
	if err != nil {
		return err
	}
	return suite.Check(later[0].Offset == 10 && later[4].Offset == 14, "read from %d on", later[0].Offset)
}

func (c *cluster) readTimestamp() error {
	topic, err := c.create("timestamp", 1, nil)
	if err != nil {
		return err
	}
	sent := suite.Timed(100)
	if _, err := c.produce(topic, 0, sent, kgo.ProducerBatchMaxBytes(1_024)); err != nil {
		return err
	}
	read, err := c.read(topic, 0, kgo.NewOffset().AfterMilli(suite.T0.UnixMilli()+70_001), 29)
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
	client, err := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for number := range 3 {
		for partition := range int32(suite.Many) {
			records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%d:%d", partition, number)})
		}
	}
	if err := client.ProduceSync(c.ctx, records...).FirstErr(); err != nil {
		return err
	}
	all := map[int32]kgo.Offset{}
	for partition := range int32(suite.Many) {
		all[partition] = kgo.NewOffset().AtStart()
	}
	consumer, err := c.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: all}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	read, err := c.take(consumer, len(records))
	if err != nil {
		return err
	}
	var following [suite.Many]int64
	for _, record := range read {
		wanted := fmt.Sprintf("%d:%d", record.Partition, following[record.Partition])
		if record.Offset != following[record.Partition] || string(record.Value) != wanted {
			return fmt.Errorf("offset %d: %q where %q comes next", record.Offset, record.Value, wanted)
		}
		following[record.Partition]++
	}
	_, err = c.admin.DeleteTopic(c.ctx, topic)
	return err
}
