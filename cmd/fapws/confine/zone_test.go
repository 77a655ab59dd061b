package confine

import (
	"os"
	"path/filepath"
	"testing"
)

func TestZoneRuleIsReadFromAFile(t *testing.T) {
	for content, want := range map[string]string{
		"TZif2\x00\x00TZif2\x00\nCET-1CEST,M3.5.0,M10.5.0/3\n": "CET-1CEST,M3.5.0,M10.5.0/3",
		"TZif2\x00\x00\nUTC0\n":                                "UTC0",
		"TZif2\x00\x00\n\n":                                    "",
		"TZif2 and no line":                                    "",
		"something else\nUTC0\n":                               "",
		"":                                                     "",
	} {
		path := filepath.Join(t.TempDir(), "zone")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := zoneRule(path); got != want {
			t.Errorf("%q: %q, not %q", content, got, want)
		}
	}
	if got := zoneRule("/no/such"); got != "" {
		t.Errorf("no file: %q", got)
	}
}
