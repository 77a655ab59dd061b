package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"
)

// ZoneDoubts contains a warning if TZ is neither the name of a zone nor a rule.
var ZoneDoubts []string

// Package time searches for the value of TZ only among the names of time zone files, and uses UTC for a POSIX rule (XBD
// §8.3), as on OpenWrt and embedded systems. The C library, and so Python, supports rules. Go and Python must have the
// same local time in logs, messages and pages, and for the rotation of logs.
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

// zoneOf returns the zone of a rule, or nil if value is empty, a path or the name of a zone. If the rule cannot be
// parsed, all times of the zone have the name unread.
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

const unread = "?" // POSIX requires three letters or digits for the name of a zone

// zoneFile returns a time zone file (RFC 8536) with a rule that applies since 1901. Earlier times are UTC.
func zoneFile(rule string) []byte {
	header := func(transitions uint32) []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, count := range [...]uint32{0, 0, 0, transitions, 1, uint32(len(unread) + 1)} {
			b = binary.BigEndian.AppendUint32(b, count)
		}
		return b
	}
	const utc = "\x00\x00\x00\x00\x00\x00" + unread + "\x00" // offset, no summer time, index of its name; names
	b := append(header(0), utc...)                           // version 1, which readers of version 2 skip
	b = append(b, header(1)...)
	b = binary.BigEndian.AppendUint64(b, 1<<64-1<<31) // the time -1<<31, which is in December 1901
	b = append(b, 0)
	b = append(b, utc...)
	return append(b, "\n"+rule+"\n"...)
}
