package suite

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// Member is what a group's member is started with, and what it tells; see tests/compat/groups/driver.py.
type Member struct {
	Bootstrap, Group, Topic string
	// Instance is empty for a dynamic member.
	Instance    string
	Cooperative bool
	// ServerSide members speak the consumer protocol (KIP-848).
	ServerSide bool
	lock        sync.Mutex
	has         []int32
}

// StartMember reads the command line; the context is over when stdin ends.
func StartMember() (*Member, context.Context) {
	words := os.Args[1:]
	if len(words) != 5 {
		fmt.Fprintln(os.Stderr, "wanted: BOOTSTRAP GROUP TOPIC INSTANCE|- range|cooperative|consumer")
		os.Exit(2)
	}
	member := &Member{Bootstrap: words[0], Group: words[1], Topic: words[2]}
	member.Cooperative, member.ServerSide = words[4] == "cooperative", words[4] == "consumer"
	if words[3] != "-" {
		member.Instance = words[3]
	}
	ctx, end := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends stdin ends the member
		end()
	}()
	return member, ctx
}

// Gained tells partitions that came.
func (m *Member) Gained(partitions []int32) {
	m.change(func(has []int32) []int32 { return append(has, partitions...) })
}

// Lost tells partitions that went.
func (m *Member) Lost(partitions []int32) {
	m.change(func(has []int32) []int32 {
		return slices.DeleteFunc(has, func(one int32) bool { return slices.Contains(partitions, one) })
	})
}

func (m *Member) change(step func([]int32) []int32) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.has = step(m.has)
	slices.Sort(m.has)
	words := make([]string, len(m.has))
	for at, one := range m.has {
		words[at] = fmt.Sprint(one)
	}
	fmt.Println("assigned", strings.Join(words, ","))
}

// Read tells a record.
func (m *Member) Read(partition int32, offset int64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	fmt.Println("read", partition, offset)
}

// Committed tells how the commit of a record ended. After a failure the record is read again, by whoever has the
// partition then.
func (m *Member) Committed(partition int32, offset int64, err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if err != nil {
		fmt.Fprintln(os.Stderr, "not committed:", err)
		return
	}
	fmt.Println("committed", partition, offset+1)
}
