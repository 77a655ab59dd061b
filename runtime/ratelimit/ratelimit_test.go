package ratelimit

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange/exchangetest"
)

// open returns n tables that share one file, as in n processes.
func open(t testing.TB, n int) (all []*Table) {
	t.Helper()
	f := checktest.Try(Create()).Must(t)
	defer f.Close()
	for range n {
		all = append(all, checktest.Try(Open(f)).Must(t))
	}
	return all
}

func rate(t testing.TB, text string) Rate {
	t.Helper()
	return checktest.Try(ParseRate(text)).Must(t)
}

func TestRatesAreParsed(t *testing.T) {
	for text, want := range map[string]Rate{
		"20/s burst 40":     {50 * time.Millisecond, 40},
		"20/s":              {50 * time.Millisecond, 20},
		"100/m":             {600 * time.Millisecond, 1},
		"120/m":             {500 * time.Millisecond, 2},
		"1/h burst 5":       {time.Hour, 5},
		"1000000/s":         {time.Microsecond, 1_000_000},
		"1/h burst 1000000": {time.Hour, 1_000_000},
	} {
		got, err := ParseRate(text)
		checktest.Truef(t, got == want && err == nil, "%s: %+v, %v", text, got, err)
	}
	for _, text := range []string{"", "20", "20r/s", "0/s", "20/s burst 0", "1000001/s", "20/d", "-1/s", "20/s burst",
		"20/s burst 40 nodelay", " 20/s", "99999999/s"} {
		got, err := ParseRate(text)
		checktest.Truef(t, err != nil, "%q: %+v", text, got)
	}
}

func TestClientMaySendTheBurstAtOnceAndThenTheRate(t *testing.T) {
	for _, text := range []string{"20/s burst 40", "20/s", "3/s burst 1", "100/m burst 7", "7/h burst 3"} {
		table, r := open(t, 1)[0], rate(t, text)
		accepted, now, length := 0, int64(time.Hour), 200*r.Interval
		for at := time.Duration(0); at < length; at += r.Interval / 500 {
			if _, ok := table.take(1, r, now+int64(at)); ok {
				accepted++
			}
		}
		want := r.Burst + 200
		checktest.Truef(t, accepted >= want-1 && accepted <= want+1, "%s: %d accepted, want %d", text, accepted, want)
	}
}

func TestRejectedRequestsDoNotProlongTheWait(t *testing.T) {
	table, r, now := open(t, 1)[0], rate(t, "1/s burst 1"), int64(time.Hour)
	table.take(1, r, now)
	for range 100 {
		ahead, ok := table.take(1, r, now)
		checktest.Needf(t, !ok && ahead == time.Second, "%v, %v", ahead, ok)
	}
	_, ok := table.take(1, r, now+int64(time.Second))
	checktest.Truef(t, ok, "still rejected after a second")
}

func TestProcessesCountTogether(t *testing.T) {
	tables, r := open(t, 4), rate(t, "1/h burst 1000")
	var accepted atomic.Int64
	var all sync.WaitGroup
	for _, table := range tables {
		all.Go(func() {
			for range 1000 {
				if _, ok := table.take(7, r, int64(time.Hour)); ok {
					accepted.Add(1)
				}
			}
		})
	}
	all.Wait()
	checktest.Equalf(t, accepted.Load(), 1000, "accepted")
}

// If no slot is free, a new client replaces the client with the earliest theoretical arrival time.
func TestFullTableForgetsClientsInsteadOfRejecting(t *testing.T) {
	table, r, now := open(t, 1)[0], rate(t, "1/h burst 2"), int64(time.Hour)
	for i := range uint64(ways + 1) { // all clients are in the same bucket
		for range 2 {
			_, ok := table.take(1+i*buckets, r, now+int64(i))
			checktest.Needf(t, ok, "client %d is rejected", i)
		}
	}
	_, ok := table.take(1+buckets, r, now)
	checktest.Truef(t, !ok, "the second client was forgotten")
	_, ok = table.take(1, r, now)
	checktest.Truef(t, ok, "the first client was not forgotten")
}

func TestMillionClientsNeedSixteenMegabytes(t *testing.T) {
	table, r := open(t, 1)[0], rate(t, "1/h")
	l := &limiter{Options: Options{Rate: r}, t: table}
	const n = 1_000_000
	for i := range n {
		_, ok := table.take(l.hash('a', fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff)), r, int64(time.Hour))
		checktest.Needf(t, ok, "client %d is rejected", i)
	}
	used := 0
	for i := range table.slots {
		if table.slots[i].hash.Load() != 0 {
			used++
		}
	}
	checktest.Truef(t, used >= n*3/4 && unsafe.Sizeof(slot{})*uintptr(len(table.slots)) == 16<<20,
		"%d slots of %d are used", used, len(table.slots))
}

// If the file were shortened, a process that has mapped the file would crash.
func TestFileCannotBeShortened(t *testing.T) {
	f := checktest.Try(Create()).Must(t)
	defer f.Close()
	checktest.Truef(t, f.Truncate(0) != nil && f.Truncate(size*2) != nil, "the size has changed")
	other, err := os.CreateTemp(t.TempDir(), "")
	checktest.Must(t, err)
	defer other.Close()
	_, err = Open(other)
	checktest.Truef(t, err != nil, "another file is a table")
}

func TestHashesDependOnTheKeyOfTheTableAndOnTheRate(t *testing.T) {
	tables, other := open(t, 2), open(t, 1)[0]
	hash := func(table *Table, text string, number int, by byte) uint64 {
		return (&limiter{Options: Options{Rate: rate(t, text), Number: number}, t: table}).hash(by, "x")
	}
	one := hash(tables[0], "1/s", 1, 'a')
	checktest.Equalf(t, hash(tables[1], "1/s", 1, 'a'), one, "two processes have different hashes")
	for what, h := range map[string]uint64{"table": hash(other, "1/s", 1, 'a'), "rate": hash(tables[0], "2/s", 1, 'a'),
		"limit": hash(tables[0], "1/s", 2, 'a'), "kind of client": hash(tables[0], "1/s", 1, 'u')} {
		checktest.Truef(t, h != one, "another %s has the same hash", what)
	}
}

func TestFieldsTellTheClientWhatIsLeft(t *testing.T) {
	table, now := open(t, 1)[0], int64(time.Hour)
	table.now = func() int64 { return now }
	limit := table.Limit(Options{Rate: rate(t, "1/s burst 3"), Policy: "default", Header: "x-api-key", Fields: true,
		Text: "1/s burst 3 by header X-Api-Key"})
	client := new(exchangetest.Client)
	ask := func() (fields string, status int) {
		x := client.Exchange("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: k\r\n\r\n", "")
		if refusal := limit.Take(x); refusal != nil {
			return string(refusal.Fields), refusal.Status
		}
		return string(x.Fields), 200
	}
	const policy = "RateLimit-Policy: \"default\";q=3;w=3\r\n"
	for _, step := range []struct {
		after  time.Duration
		status int
		want   string
	}{
		{0, 200, policy + "RateLimit: \"default\";r=2;t=1\r\n"},
		{0, 200, policy + "RateLimit: \"default\";r=1;t=1\r\n"},
		{0, 200, policy + "RateLimit: \"default\";r=0;t=1\r\n"},
		{0, 429, "Retry-After: 1\r\n" + policy + "RateLimit: \"default\";r=0;t=1\r\n"},
		{1500 * time.Millisecond, 200, policy + "RateLimit: \"default\";r=0;t=1\r\n"},
		{10 * time.Second, 200, policy + "RateLimit: \"default\";r=2;t=1\r\n"},
	} {
		now += int64(step.after)
		if got, status := ask(); got != step.want || status != step.status {
			t.Errorf("%v: %d, %q, want %q", step.after, status, got, step.want)
		}
	}
	const line = "got 429: more than 1/s burst 3 by header"
	checktest.Truef(t, len(client.Logged) == 1 && strings.Contains(client.Logged[0], line), "%q", client.Logged)
}

// A client of a unix socket has no address.
func TestClientWithoutAddressIsNotLimitedByAddress(t *testing.T) {
	limit := open(t, 1)[0].Limit(Options{Rate: rate(t, "1/h"), Policy: "default"})
	client := new(exchangetest.Client)
	for range 3 {
		checktest.Equalf(t, limit.Take(client.Exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "")), nil, "rejected")
	}
}

func TestSameOptionsGiveTheSameLimit(t *testing.T) {
	table := open(t, 1)[0]
	a, b := Options{Rate: rate(t, "1/s"), Number: 1}, Options{Rate: rate(t, "1/s"), Number: 2}
	limit := table.Limit(a)
	checktest.Truef(t, limit == table.Limit(a) && limit != table.Limit(b), "a limit is not known by its options")
}
