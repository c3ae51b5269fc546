package suite

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"time"
)

// Many is how many partitions "many" are.
const Many = 1000

// Codecs are all that a producer may choose.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// T0 is the time of the first record with a timestamp of its own.
var T0 = time.UnixMilli(1_600_000_000_000)

// Header is one of a record; a key may come twice.
type Header struct {
	Key   string
	Value []byte
}

// Record is what is sent, and with Offset what is read.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Time       time.Time
	Offset     int64
}

var run = fmt.Sprintf("%x", time.Now().UnixMilli())

// Name is a topic's name that no other run uses.
func Name(client, topic string) string { return client + "-" + topic + "-" + run }

// Noise is a value that no codec shrinks.
func Noise(seed int64, length int) []byte {
	value := make([]byte, length)
	rand.New(rand.NewSource(seed)).Read(value)
	return value
}

// Keyed makes records with keys and headers; half of each value is noise.
func Keyed(count int) []Record {
	records := make([]Record, count)
	for at := range records {
		value := append(bytes.Repeat([]byte("text "), at%50), Noise(int64(at), at%400)...)
		records[at] = Record{
			Key:     fmt.Appendf(nil, "key-%d", at),
			Value:   value,
			Headers: []Header{{"at", fmt.Append(nil, at)}, {"none", nil}, {"at", []byte{}}},
		}
	}
	return records
}

// Timed makes records of one byte, a second apart.
func Timed(count int) []Record {
	records := make([]Record, count)
	for at := range records {
		records[at] = Record{Value: []byte{byte(at)}, Time: T0.Add(time.Duration(at) * time.Second)}
	}
	return records
}

// Stamped makes a record at each of these milliseconds after T0.
func Stamped(millis ...int) []Record {
	records := make([]Record, len(millis))
	for at, each := range millis {
		records[at] = Record{Value: []byte("x"), Time: T0.Add(time.Duration(each) * time.Millisecond)}
	}
	return records
}

// Empties makes a record of each pair out of null, empty and not empty.
func Empties() []Record {
	var records []Record
	some := [][]byte{nil, {}, []byte("x")}
	for _, key := range some {
		for _, value := range some {
			records = append(records, Record{Key: key, Value: value})
		}
	}
	return records
}

// Large makes eight records of 950,000 bytes.
func Large() []Record {
	records := make([]Record, 8)
	for at := range records {
		records[at] = Record{Value: Noise(int64(at), 950_000)}
	}
	return records
}

// Check fails with what is told unless it is right.
func Check(right bool, format string, args ...any) error {
	if right {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// Refused fails unless err is the error that was wanted.
func Refused(err, wanted error) error {
	return Check(errors.Is(err, wanted), "%v, not %v", err, wanted)
}

// Same fails unless what was read is what was sent, at offsets from first on. Null and empty differ.
func Same(sent, read []Record, first int64) error {
	identical := func(one, other []byte) bool { return (one == nil) == (other == nil) && bytes.Equal(one, other) }
	return same(sent, read, first, identical)
}

// SameBytes is Same for a client that reads null and empty as one.
func SameBytes(sent, read []Record, first int64) error { return same(sent, read, first, bytes.Equal) }

func same(sent, read []Record, first int64, equal func(one, other []byte) bool) error {
	if len(sent) != len(read) {
		return fmt.Errorf("%d sent, %d read", len(sent), len(read))
	}
	for at, record := range sent {
		found, offset := read[at], first+int64(at)
		switch {
		case found.Offset != offset:
			return fmt.Errorf("offset %d where %d comes next", found.Offset, offset)
		case !equal(record.Key, found.Key):
			return fmt.Errorf("offset %d: another key: %q, not %q", offset, found.Key, record.Key)
		case !equal(record.Value, found.Value):
			return fmt.Errorf("offset %d: another value, of %d bytes", offset, len(found.Value))
		case len(record.Headers) != len(found.Headers):
			return fmt.Errorf("offset %d: headers %v", offset, found.Headers)
		case !record.Time.IsZero() && !record.Time.Equal(found.Time):
			return fmt.Errorf("offset %d: at %v, not %v", offset, found.Time, record.Time)
		}
		for n, header := range record.Headers {
			if header.Key != found.Headers[n].Key || !equal(header.Value, found.Headers[n].Value) {
				return fmt.Errorf("offset %d: headers %v", offset, found.Headers)
			}
		}
	}
	return nil
}

// Until asks until the answer is right, for a step's time.
func Until(what string, ask func() (bool, error)) error {
	deadline := time.Now().Add(StepSeconds * time.Second)
	for {
		right, err := ask()
		if err != nil || right {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still not: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
