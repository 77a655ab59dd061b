package confine

import (
	"bytes"
	"os"
)

// KeepZone sets TZ to the rule of this machine's /etc/localtime, unless it is set, because that file is missing
// inside. It must be called before Python starts.
func KeepZone() error {
	if _, set := os.LookupEnv("TZ"); set {
		return nil
	}
	rule := zoneRule("/etc/localtime")
	if rule == "" {
		return nil // UTC, then and now
	}
	return os.Setenv("TZ", rule)
}

// zoneRule returns the last line of a file of time zone information (RFC 8536
// §3.3), which says how it goes on as TZ does: "CET-1CEST,M3.5.0,M10.5.0/3".
func zoneRule(path string) string {
	content, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(content, []byte("TZif")) || !bytes.HasSuffix(content, []byte("\n")) {
		return ""
	}
	content = content[:len(content)-1]
	return string(content[bytes.LastIndexByte(content, '\n')+1:])
}
