package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const takeoverPartitions = 2

// takeoverSession is how long a member may be silent; shorter than a broker allows unless it is told so.
const takeoverSession = 6 * time.Second

// takeover has two members of franz-go, each a process, share a topic of two partitions into which a record comes every ten
// milliseconds; it kills one just after a heartbeat of it, and waits for the other to read a record of its partition. Groups
// that do so at once are `members` in number.
func takeover(given settings) error {
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	if _, err := link.createTopic("takeover", takeoverPartitions); err != nil {
		return err
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(given.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer producer.Close()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	go func() {
		for ctx.Err() == nil {
			for partition := range int32(takeoverPartitions) {
				producer.Produce(ctx, &kgo.Record{Topic: "takeover", Partition: partition, Value: []byte("x")}, nil)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	var took []time.Duration
	for range given.rounds {
		results := make([]time.Duration, given.members)
		err := together(given.members, func(number int) (err error) {
			// Rounds that begin together would have their heartbeats together.
			time.Sleep(time.Duration(number) * 333 * time.Millisecond)
			results[number], err = takeOver(given)
			return err
		})
		if err != nil {
			return err
		}
		took = append(took, results...)
	}
	sum := time.Duration(0)
	for _, one := range took {
		sum += one
	}
	fmt.Printf("takeover protocol=%s rounds=%d mean_ms=%.0f min_ms=%.0f p50_ms=%.0f max_ms=%.0f\n", given.protocol, len(took),
		ms(sum/time.Duration(len(took))), ms(quantile(took, 0)), ms(quantile(took, 0.5)), ms(quantile(took, 1)))
	return nil
}

// member is a process, and what it says: `beat`, or `read PARTITION`.
type member struct {
	process *exec.Cmd
	says    chan string
}

func startMember(given settings, group string) (*member, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	process := exec.Command(self, "member", "--broker", given.broker, "--protocol", given.protocol, "--beat", given.beat.String())
	process.Env = append(os.Environ(), "GROUP="+group, "GOMAXPROCS=1")
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	one := &member{process, make(chan string, 1<<16)}
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			one.says <- lines.Text()
		}
		close(one.says)
	}()
	return one, nil
}

func (m *member) kill() {
	_ = m.process.Process.Kill() // it may have ended
	_ = m.process.Wait()
}

// hears waits until the member says something that fits, and gives it.
func (m *member) hears(fits func(string) bool) (string, error) {
	limit := time.After(90 * time.Second)
	for {
		select {
		case line, open := <-m.says:
			if !open {
				return "", fmt.Errorf("a member ended")
			}
			if fits(line) {
				return line, nil
			}
		case <-limit:
			return "", fmt.Errorf("a member says nothing of what is waited for")
		}
	}
}

func takeOver(given settings) (time.Duration, error) {
	link, err := dial(given.broker)
	if err != nil {
		return 0, err
	}
	defer link.close()
	group := "takeover-" + newMemberID()
	if err := link.ready(group); err != nil {
		return 0, err
	}
	if given.protocol == "consumer" {
		beat := fmt.Sprint(given.beat.Milliseconds())
		configs := map[string]string{"consumer.session.timeout.ms": fmt.Sprint(takeoverSession.Milliseconds()), "consumer.heartbeat.interval.ms": beat}
		if err := link.configureGroup(group, configs); err != nil {
			return 0, fmt.Errorf("group configs: %w", err)
		}
	}
	victim, err := startMember(given, group)
	if err != nil {
		return 0, err
	}
	defer victim.kill()
	heir, err := startMember(given, group)
	if err != nil {
		return 0, err
	}
	defer heir.kill()
	// Both read for a while, each its own partition alone.
	isRead := func(line string) bool { return strings.HasPrefix(line, "read ") }
	var one, other string
	for steady := time.Now(); time.Since(steady) < 5*time.Second; {
		its, err := victim.hears(isRead)
		if err != nil {
			return 0, err
		}
		mine, err := heir.hears(isRead)
		if err != nil {
			return 0, err
		}
		if its != one || mine != other || its == mine {
			one, other, steady = its, mine, time.Now()
		}
	}
	for len(victim.says) > 0 {
		<-victim.says
	}
	if _, err := victim.hears(func(line string) bool { return line == "beat" }); err != nil {
		return 0, err
	}
	begun := time.Now()
	victim.kill()
	_, err = heir.hears(func(line string) bool { return line == one })
	return time.Since(begun), err
}

// beats tells of heartbeats that were answered.
type beats struct{}

func (beats) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, call kgo.BrokerE2E) {
	const heartbeat, consumerGroupHeartbeat = 12, 68
	if (key == heartbeat || key == consumerGroupHeartbeat) && call.Err() == nil {
		fmt.Println("beat")
	}
}

// takeoverMember is one member of `takeover`, until it is killed.
func takeoverMember(given settings) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(given.broker),
		kgo.ConsumerGroup(os.Getenv("GROUP")),
		kgo.ConsumeTopics("takeover"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(takeoverSession),
		kgo.HeartbeatInterval(given.beat),
		kgo.WithHooks(beats{}),
	}
	if given.protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	for {
		client.PollFetches(context.Background()).EachRecord(func(record *kgo.Record) { fmt.Println("read", record.Partition) })
	}
}
