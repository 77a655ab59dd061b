package confine

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/checktest"
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
		checktest.Must(t, os.WriteFile(path, []byte(content), 0o644))
		checktest.Equalf(t, zoneRule(path), want, "%q", content)
	}
	checktest.Equalf(t, zoneRule("/no/such"), "", "no file")
}
