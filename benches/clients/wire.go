package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// connection asks one question at a time. A member has one of its own, as JoinGroup is answered late.
type connection struct {
	socket    net.Conn
	reader    *bufio.Reader
	formatter *kmsg.RequestFormatter
	asked     int32
	buffer    []byte
	received  int // bytes of the last reply
}

func dial(broker string) (*connection, error) {
	socket, err := net.DialTimeout("tcp", broker, 30*time.Second)
	if err != nil {
		return nil, err
	}
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench-clients"))
	return &connection{socket: socket, reader: bufio.NewReaderSize(socket, 1024), formatter: formatter}, nil
}

func (c *connection) close() { _ = c.socket.Close() }

// ask sends a request of the given version and waits for its reply.
func (c *connection) ask(request kmsg.Request, version int16) (kmsg.Response, error) {
	request.SetVersion(version)
	c.asked++
	c.buffer = c.formatter.AppendRequest(c.buffer[:0], request, c.asked)
	if _, err := c.socket.Write(c.buffer); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c.reader, head[:]); err != nil {
		return nil, err
	}
	c.received = int(binary.BigEndian.Uint32(head[:]))
	body := make([]byte, c.received)
	if _, err := io.ReadFull(c.reader, body); err != nil {
		return nil, err
	}
	response := request.ResponseKind()
	response.SetVersion(version)
	after := 4
	if response.IsFlexible() {
		after++ // neither broker sends tags in a header
	}
	if len(body) < after || binary.BigEndian.Uint32(body) != uint32(c.asked) {
		return nil, fmt.Errorf("a reply to something else")
	}
	return response, response.ReadFrom(body[after:])
}

// ready makes the group's coordinator answer: the first group of a broker makes __consumer_offsets.
func (c *connection) ready(group string) error {
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKeys = []string{group}
		found, err := c.ask(find, 4)
		if err != nil {
			return err
		}
		code := found.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode
		if code == 0 {
			list := kmsg.NewPtrOffsetFetchRequest()
			one := kmsg.NewOffsetFetchRequestGroup()
			one.Group = group
			list.Groups = append(list.Groups, one)
			fetched, err := c.ask(list, 8)
			if err != nil {
				return err
			}
			code = fetched.(*kmsg.OffsetFetchResponse).Groups[0].ErrorCode
		}
		if code == 0 {
			return nil
		}
		if time.Since(begun) > time.Minute {
			return kerr.ErrorForCode(code)
		}
	}
}

// createTopic makes a topic, or finds it made, and waits until its partitions have leaders.
func (c *connection) createTopic(name string, partitions int32) ([16]byte, error) {
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	create.Topics, create.TimeoutMillis = append(create.Topics, topic), 30_000
	created, err := c.ask(create, 7)
	if err != nil {
		return [16]byte{}, err
	}
	code := created.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	if err := kerr.ErrorForCode(code); err != nil && err != kerr.TopicAlreadyExists {
		return [16]byte{}, err
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		metadata := kmsg.NewPtrMetadataRequest()
		wanted := kmsg.NewMetadataRequestTopic()
		wanted.Topic = &name
		metadata.Topics = append(metadata.Topics, wanted)
		told, err := c.ask(metadata, 12)
		if err != nil {
			return [16]byte{}, err
		}
		of := told.(*kmsg.MetadataResponse).Topics[0]
		led := of.ErrorCode == 0 && len(of.Partitions) == int(partitions)
		for _, partition := range of.Partitions {
			led = led && partition.ErrorCode == 0
		}
		if led {
			return of.TopicID, nil
		}
		if time.Since(begun) > time.Minute {
			return [16]byte{}, fmt.Errorf("%s: no %d partitions with leaders", name, partitions)
		}
	}
}

// configureGroup sets a config of a group, as an admin client does.
func (c *connection) configureGroup(group string, configs map[string]string) error {
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	for name, value := range configs {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = name, &value
		resource.Configs = append(resource.Configs, config)
	}
	alter.Resources = append(alter.Resources, resource)
	altered, err := c.ask(alter, 1)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(altered.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)
}
