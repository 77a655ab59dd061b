package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"
)

// ZoneDoubts contains a warning if the environment variable TZ is neither the name of a time zone nor a valid rule.
var ZoneDoubts []string

// If TZ is a POSIX rule (XBD §8.3) instead of the name of a time zone file, as on OpenWrt and embedded systems, Go's
// package time uses UTC. The C library, and therefore Python, supports rules. Go and Python must use the same local
// time in logs, messages and pages, and for the rotation of logs.
func init() {
	value := os.Getenv("TZ")
	zone := zoneOf(value)
	if zone == nil {
		return
	}
	time.Local = zone
	if name, _ := time.Now().In(zone).Zone(); name == unread {
		time.Local = time.UTC
		ZoneDoubts = []string{fmt.Sprintf("TZ=%s is unknown to this system, so logs have UTC; install tzdata, or "+
			"use a rule such as CET-1CEST,M3.5.0,M10.5.0/3", value)}
	}
}

// zoneOf returns the time zone for a rule, or nil if value is empty, a path, or the name of a time zone. If the rule
// cannot be parsed, all times in the result have the zone name in the constant unread.
func zoneOf(value string) *time.Location {
	rule := strings.TrimPrefix(value, ":")
	if rule == "" || rule[0] == '/' {
		return nil
	}
	if _, err := time.LoadLocation(rule); err == nil {
		return nil
	}
	zone, err := time.LoadLocationFromTZData("Local", zoneFile(strings.ReplaceAll(rule, "\n", " ")))
	if err != nil {
		return nil
	}
	return zone
}

const unread = "?" // no zone has this name, because POSIX requires three letters or digits

// zoneFile returns the contents of a time zone file (RFC 8536) in which the rule applies from 1901 on, and UTC before
// 1901.
func zoneFile(rule string) []byte {
	header := func(transitions uint32) []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, count := range [...]uint32{0, 0, 0, transitions, 1, uint32(len(unread) + 1)} {
			b = binary.BigEndian.AppendUint32(b, count)
		}
		return b
	}
	const utc = "\x00\x00\x00\x00\x00\x00" + unread + "\x00" // offset 0, no summer time, index of the name; name
	b := append(header(0), utc...)                           // data block of version 1, which readers of version 2 skip
	b = append(b, header(1)...)
	b = binary.BigEndian.AppendUint64(b, 1<<64-1<<31) // the time -1<<31, which is in December 1901
	b = append(b, 0)
	b = append(b, utc...)
	return append(b, "\n"+rule+"\n"...)
}
