package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory makes groups that have a stored offset and no members, then groups of a hundred members each, whose connections are
// closed once they have joined: what is left is what the coordinator keeps.
func memory(given settings) error {
	const size = 100
	link, err := dial(given.broker)
	if err != nil {
		return err
	}
	defer link.close()
	if _, err := link.createTopic("memory", size); err != nil {
		return err
	}
	if err := link.ready("memory"); err != nil {
		return err
	}
	given.partitions = size
	groups := given.members
	// The first time pays for what stays however many there are: buffers, caches, the code that a JVM compiles.
	for _, turn := range []string{"first", "second"} {
		before, err := held(given.pid)
		if err != nil {
			return err
		}
		for number := range groups {
			if err := link.commit(fmt.Sprintf("memory-idle-%s-%s-%d", turn, given.protocol, number), "memory", 7); err != nil {
				return err
			}
		}
		idle, err := held(given.pid)
		if err != nil {
			return err
		}
		err = together(groups/size, func(number int) error {
			return fill(given, fmt.Sprintf("memory-%s-%s-%d", turn, given.protocol, number), size)
		})
		if err != nil {
			return err
		}
		full, err := held(given.pid)
		if err != nil {
			return err
		}
		members := groups / size * size
		fmt.Printf("memory protocol=%s turn=%s per_group_bytes=%d per_member_bytes=%d\n", given.protocol, turn, (idle-before)/groups, (full-idle)/members)
	}
	return nil
}

// fill makes a stable group of so many members, and closes their connections.
func fill(given settings, group string, size int) error {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	failed := make(chan error, 1)
	all := gather(size, given.partitions)
	for number := range size {
		if err := all.member(ctx, given, group, "memory", number, failed); err != nil {
			return err
		}
	}
	_, err := all.wait(failed)
	return err
}

// givenBack is longer than corelog keeps memory that was freed: what connections took, some 6 kB each, would count for groups.
const givenBack = 15 * time.Second

// held is what a process has in memory, in bytes; of a Java process, what lives on its heap after a collection, as the rest
// is what it once reserved.
func held(pid int) (int, error) {
	of := strconv.Itoa(pid)
	name, err := os.ReadFile("/proc/" + of + "/comm")
	if err != nil {
		return 0, err
	}
	if strings.TrimSpace(string(name)) != "java" {
		time.Sleep(givenBack)
		return field("/proc/"+of+"/status", "VmRSS:")
	}
	if err := exec.Command("jcmd", of, "GC.run").Run(); err != nil {
		return 0, err
	}
	info, err := exec.Command("jcmd", of, "GC.heap_info").Output()
	if err != nil {
		return 0, err
	}
	_, used, found := strings.Cut(string(info), " used ")
	used, _, ended := strings.Cut(used, "K")
	if !found || !ended {
		return 0, fmt.Errorf("jcmd says nothing of what is used: %s", info)
	}
	kib, err := strconv.Atoi(used)
	return kib << 10, err
}

// field is the number of KiB that a line of a file in /proc has, in bytes.
func field(file, name string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), name)
	words := strings.Fields(rest)
	if !found || len(words) == 0 {
		return 0, fmt.Errorf("%s has no %s", file, name)
	}
	kib, err := strconv.Atoi(words[0])
	return kib << 10, err
}

// together runs steps side by side and gives the first error.
func together(count int, step func(int) error) error {
	var waiting sync.WaitGroup
	broken := make(chan error, count)
	for number := range count {
		waiting.Go(func() {
			if err := step(number); err != nil {
				broken <- err
			}
		})
	}
	waiting.Wait()
	select {
	case err := <-broken:
		return err
	default:
		return nil
	}
}
