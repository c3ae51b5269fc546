package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	claimers   = 16        // peers that claim a frame of claimBytes each, and send a byte of it now and then
	claimBytes = 100 << 20 // Kafka's own limit
	dripEvery  = 200 * time.Millisecond
	claimFor   = 4 * time.Second
	scribblers = 4  // peers that send random bytes
	unreaders  = 16 // peers that ask for records, five times in a row, and read none
	unreadFor  = 5 * time.Second
	fetchBytes = 50 << 20
)

// hostile is a bad peer of many kinds until stdin ends: claims that drip, random bytes, readers that read nothing of topic
// "big", and `members` connections that are opened and dropped. It says `ready` at once.
func hostile(given settings) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends stdin ends the peers
		close(ended)
	}()
	over := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	opened := &atomic.Int64{}
	// Each peer comes back when it is thrown out: that a broker closes its connection is what is wanted.
	again := func(peer func(net.Conn) error) {
		for !over() {
			socket, err := net.DialTimeout("tcp", given.broker, 2*time.Second)
			if err != nil {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			opened.Add(1)
			_ = socket.SetDeadline(time.Now().Add(10 * time.Second))
			if peer(socket) != nil {
				time.Sleep(20 * time.Millisecond)
			}
			_ = socket.Close()
		}
	}
	start := func(count int, peer func(net.Conn) error) {
		for range count {
			go again(peer)
		}
	}
	start(claimers, func(socket net.Conn) error {
		if _, err := socket.Write(append(binary.BigEndian.AppendUint32(nil, claimBytes), make([]byte, 50)...)); err != nil {
			return err
		}
		for until := time.Now().Add(claimFor); time.Now().Before(until) && !over(); time.Sleep(dripEvery) {
			if _, err := socket.Write([]byte{'x'}); err != nil {
				return err
			}
		}
		return nil
	})
	start(scribblers, func(socket net.Conn) error {
		frame := make([]byte, 1+mathrand.Intn(400))
		_, _ = rand.Read(frame) // never fails
		_, err := socket.Write(frame)
		time.Sleep(20 * time.Millisecond)
		return err
	})
	fetch := fetchBig()
	start(unreaders, func(socket net.Conn) error {
		_ = socket.(*net.TCPConn).SetReadBuffer(4096)
		for range 5 {
			if _, err := socket.Write(fetch); err != nil {
				return err
			}
		}
		for until := time.Now().Add(unreadFor); time.Now().Before(until) && !over(); {
			time.Sleep(dripEvery)
		}
		return nil
	})
	go func() {
		for n := 0; n < given.members && !over(); n++ {
			if socket, err := net.DialTimeout("tcp", given.broker, 2*time.Second); err == nil {
				opened.Add(1)
				_ = socket.Close()
			}
			if n%50 == 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	fmt.Println("ready")
	<-ended
	fmt.Println("hostile connections=" + strconv.FormatInt(opened.Load(), 10))
	return nil
}

// fetchBig is the frame of a fetch of all that topic "big" has, by a version that names topics.
func fetchBig() []byte {
	request := kmsg.NewPtrFetchRequest()
	request.SetVersion(4)
	request.ReplicaID, request.MaxWaitMillis, request.MinBytes, request.MaxBytes = -1, 100, 1, fetchBytes
	topic, partition := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	partition.PartitionMaxBytes = fetchBytes
	topic.Topic, topic.Partitions = "big", []kmsg.FetchRequestTopicPartition{partition}
	request.Topics = []kmsg.FetchRequestTopic{topic}
	return kmsg.NewRequestFormatter().AppendRequest(nil, request, 1)
}
