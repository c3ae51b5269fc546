package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const floodRecordBytes = 100

// flood sends as fast as franz-go can, or at a rate, and tells what that costs of this process's own processor's time: what
// a generator made of it would take of the machine that it measures.
func flood(given settings) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	topic := fmt.Sprintf("flood-%d", time.Now().UnixNano())
	_, err = link.createTopic(topic, int32(given.partitions))
	link.close()
	if err != nil {
		return err
	}
	var senders sync.WaitGroup
	var acked, failed atomic.Int64
	ctx, end := context.WithCancel(context.Background())
	defer end()
	for range given.members {
		// As `corelog bench` is told beside it: no idempotence, no codec, a linger.
		client, err := kgo.NewClient(kgo.SeedBrokers(given.broker), kgo.DefaultProduceTopic(topic), kgo.DisableIdempotentWrite(),
			kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(given.linger),
			kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		if err != nil {
			return err
		}
		defer client.Close()
		senders.Add(1)
		go func() {
			defer senders.Done()
			value := make([]byte, floodRecordBytes)
			told := func(_ *kgo.Record, err error) {
				if err == nil {
					acked.Add(1)
				} else if ctx.Err() == nil {
					failed.Add(1)
				}
			}
			begun := time.Now()
			for sent := 0; ctx.Err() == nil; sent++ {
				if given.rate > 0 {
					// Each record when it is due, as in an open loop that tells latencies.
					due := time.Duration(float64(sent) * float64(given.members) / float64(given.rate) * float64(time.Second))
					time.Sleep(due - time.Since(begun))
				}
				client.Produce(ctx, &kgo.Record{Value: value}, told)
			}
		}()
	}
	time.Sleep(2 * time.Second)
	cpu, err := spent(os.Getpid())
	if err != nil {
		return err
	}
	before := acked.Load()
	time.Sleep(given.duration)
	records := acked.Load() - before
	after, err := spent(os.Getpid())
	if err != nil {
		return err
	}
	end()
	senders.Wait()
	if failed.Load() > 0 || records == 0 {
		return fmt.Errorf("%d records acked, %d failed", records, failed.Load())
	}
	fmt.Printf("generator load=%s by=franz-go records_s=%.0f cpu_us_per_record=%.3f\n", given.load(),
		float64(records)/given.duration.Seconds(), float64((after-cpu).Microseconds())/float64(records))
	return nil
}
