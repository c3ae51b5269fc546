// Command clients measures what many clients ask of a broker: clients COMMAND --broker HOST:PORT …
//
//	takeover  from the SIGKILL of a member's process to the first record that its successor reads
//	stable    until a group of many members is stable, and until it is again after one more joined
//	commits   offset commits a second and their p99, each client with one outstanding
//	memory    of the broker's process, for each group without members and for each member
//	topics    making many topics, the metadata of all of them, and deleting them
//	idle      the processor's time that consumers cost who wait for records that do not come
//	flood     the processor's time that franz-go takes for each record that it sends
//	hostile   no figure: peers of every bad kind, until stdin ends
//	load      no figure: members that show that they live, and a group that rebalances again and again, until stdin ends
//
// A measurement is one line `NAME key=value …` on stdout, its times in milliseconds. The `run` beside this file starts the
// brokers and compares what comes out.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// settings are what all measurements are given.
type settings struct {
	broker, protocol string
	members          int
	partitions       int
	rounds           int
	rate             int
	pid              int
	duration         time.Duration
	linger           time.Duration
	beat             time.Duration
}

var commands = map[string]func(settings) error{
	"takeover": takeover,
	"member":   takeoverMember,
	"stable":   stable,
	"commits":  commits,
	"memory":   memory,
	"load":     load,
	"flood":    flood,
	"hostile":  hostile,
	"topics":   topics,
	"idle":     idle,
}

func main() {
	var given settings
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	run, known := commands[name]
	if !known {
		fmt.Fprintln(os.Stderr, "wanted: takeover, stable, commits, memory, topics, idle, flood, hostile or load; the head of main.go says more")
		os.Exit(2)
	}
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	flags.StringVar(&given.broker, "broker", "127.0.0.1:9092", "the broker, the only one of its cluster")
	flags.StringVar(&given.protocol, "protocol", "classic", "classic or consumer (KIP-848)")
	flags.IntVar(&given.members, "members", 100, "members, clients or topics")
	flags.IntVar(&given.partitions, "partitions", 1000, "of the topic, or of each")
	flags.IntVar(&given.rounds, "rounds", 1, "how often to measure")
	flags.IntVar(&given.rate, "rate", 0, "records a second in all; 0: as fast as it goes")
	flags.IntVar(&given.pid, "pid", 0, "the broker's process")
	flags.DurationVar(&given.duration, "duration", 5*time.Second, "how long to measure")
	flags.DurationVar(&given.linger, "linger", 0, "how long a batch waits for more records")
	flags.DurationVar(&given.beat, "beat", 3*time.Second, "between two heartbeats; 0: as the broker says")
	_ = flags.Parse(os.Args[2:]) // ends the process itself
	if err := run(given); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// load names the rate as `corelog bench` does.
func (given settings) load() string {
	if given.rate == 0 {
		return "max"
	}
	return strconv.Itoa(given.rate)
}

func ms(of time.Duration) float64 { return float64(of.Microseconds()) / 1000 }

// quantile sorts what it is given.
func quantile(of []time.Duration, part float64) time.Duration {
	slices.Sort(of)
	return of[min(int(float64(len(of))*part), len(of)-1)]
}
