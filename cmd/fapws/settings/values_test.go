package settings

import (
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestSizesAreParsedAndShown(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  int64 // expected result; -1 if the text is invalid
		shown string
	}{
		{"0", 0, "0"}, {"500", 500, "500"}, {"1024", 1024, "1K"}, {"8K", 8192, "8K"}, {"8k", 8192, "8K"},
		{" 10M ", 10485760, "10M"}, {"10MB", 10485760, "10M"}, {"10MiB", 10485760, "10M"}, {"1.5G", 3 << 29, "1536M"},
		{"7B", 7, "7"}, {"1T", 1 << 40, "1T"}, {"1025", 1025, "1025"},
		{"", -1, ""}, {"K", -1, ""}, {"-1", -1, ""}, {"+5", -1, ""}, {"1e3", -1, ""}, {"0x10", -1, ""}, {"1.5", -1, ""},
		{"1..5K", -1, ""}, {"10X", -1, ""}, {"10KK", -1, ""}, {"inf", -1, ""}, {"nan", -1, ""}, {"99999999T", -1, ""},
		{"1_000", -1, ""},
	} {
		got, ok := parseSize(tt.text)
		if !ok {
			got = -1
		}
		checktest.Equalf(t, got, tt.want, "parseSize(%q)", tt.text)
		checktest.Truef(t, !ok || showSize(got) == tt.shown, "showSize(%d) = %s, want %s", got, showSize(got), tt.shown)
	}
}

func TestDurationsAreParsedAndShown(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  time.Duration // expected result; -1 if the text is invalid
		shown string
	}{
		{"0", 0, "0s"}, {"75", 75 * time.Second, "75s"}, {"1.5", 1500 * time.Millisecond, "1.5s"},
		{"75s", 75 * time.Second, "75s"},
		{"500ms", 500 * time.Millisecond, "500ms"}, {"1m30s", 90 * time.Second, "90s"}, {"5m", 5 * time.Minute, "5m"},
		{"2H", 2 * time.Hour, "2h"}, {" 3s ", 3 * time.Second, "3s"},
		{"1d", 24 * time.Hour, "1d"}, {"1.5d", 36 * time.Hour, "36h"}, {"1D12h", 36 * time.Hour, "36h"},
		{"1w", 7 * 24 * time.Hour, "7d"},
		{"1y1w1d1s", 373*24*time.Hour + time.Second, "32227201s"},
		{"", -1, ""}, {"-1", -1, ""}, {"-1s", -1, ""}, {"s", -1, ""}, {"1e9", -1, ""}, {"fast", -1, ""}, {"d", -1, ""},
		{"1d5", -1, ""}, {"1d-5s", -1, ""},
		{"1h1d", 25 * time.Hour, "25h"}, {"0.7d", 16*time.Hour + 48*time.Minute, "1008m"}, {"1.2.3d", -1, ""},
		{"146y147y", -1, ""}, {"146y2000000h", -1, ""}, {"-1d", -1, ""},
		{"99999999999999999999", -1, ""}, {"inf", -1, ""},
	} {
		got, ok := ParseDuration(tt.text)
		if !ok {
			got = -1
		}
		checktest.Equalf(t, got, tt.want, "ParseDuration(%q)", tt.text)
		checktest.Truef(t, !ok || showDuration(got) == tt.shown,
			"showDuration(%d) = %s, want %s", got, showDuration(got), tt.shown)
	}
}

func TestAddressesAreNormalized(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:8888", "127.0.0.1:": "127.0.0.1:8888", "127.0.0.1:80": "127.0.0.1:80", ":80": ":80",
		"*:80": ":80", "80": "?:80", "0": "?:0", "[::1]:80": "[::1]:80", "[::1]": "[::1]:8888",
		"[::1]:": "[::1]:8888",
		"::1":    "[::1]:8888", "fe80::1%eth0": "[fe80::1%eth0]:8888", "localhost": "localhost:8888",
		"my-host.lan:080": "my-host.lan:80",
		" :80 ":           ":80", "unix:/run/x.sock": "unix:/run/x.sock", "unix:x": "unix:x",
		"/run/x.sock": "unix:/run/x.sock", "./x.sock": "unix:./x.sock", "../x": "unix:../x",
		"": "", ":": "", "unix:": "", "x/y.sock": "", "http://a:80": "", ":http": "", ":-1": "", ":99999": "",
		"1.2.3:80": "", "1.2.3.4.5": "", "256.1.1.1": "", "[::1": "", "[::1]80": "", "[1.2.3.4]:80": "", "[a]:80": "",
		"a b:80": "", "-a:80": "", "a..b:80": "", "?:80": "", "?": "", "::1::2": "", "a:b:c": "", "1.2.3.4:80:90": "",
	} {
		got, err := parseAddress(text)
		checktest.Truef(t, err == nil || got == "", "parseAddress(%q) = %q with an error", text, got)
		checktest.Truef(t, got == want && (err == nil) == (want != ""),
			"parseAddress(%q) = %q, %v; want %q", text, got, err, want)
	}
}

func TestThreadsAreReadFromTheTextOfAScript(t *testing.T) {
	const none = -1
	for name, tt := range map[string]struct {
		source string
		want   int
	}{
		"plain":                {"import os\nTHREADS = 0\nPATHS = []\n", 0},
		"without spaces":       {"THREADS=0", 0},
		"first line after BOM": {"\xef\xbb\xbfTHREADS = 0\n", 0},
		"comment":              {"THREADS = 0  # inline\n", 0},
		"annotated":            {"THREADS: int = 0\n", 0},
		"semicolon":            {"THREADS = 0; DEBUG = 1\n", 0},
		"windows lines":        {"x = 1\r\nTHREADS = 0\r\n", 0},
		"another number":       {"THREADS = 16\n", 16},
		"underscore":           {"THREADS = 1_6\n", 16},
		"the last one counts":  {"THREADS = 4\nTHREADS = 0\n", 0},
		"continued":            {"THREADS = \\\n  0\n", 0},
		"after a docstring":    {"'''\nTHREADS = 5\n'''\nTHREADS = 0\n", 0},
		"after brackets":       {"x = [\n(\n'])',\n)]\nTHREADS = 0\n", 0},
		"after raw string":     {"x = r'\\'\nTHREADS = 0\n", 0},
		"after quote comment":  {"# it's\nTHREADS = 0\n", 0},
		"after long string":    {"x = \"\"\"a\\\"\"\" b \"\"\"\nTHREADS = 0\n", 0},

		"absent":               {"PATHS = []\n", none},
		"empty":                {"", none},
		"in a string":          {"x = '''\nTHREADS = 0\n'''\n", none},
		"in brackets":          {"x = dict(\nTHREADS = 0\n)\n", none},
		"in a function":        {"def f():\n    THREADS = 0\n", none},
		"in a continued line":  {"x = \\\nTHREADS == 0\n", none},
		"comparison":           {"THREADS == 0\n", none},
		"augmented":            {"THREADS += 0\n", none},
		"another name":         {"THREADS_MAX = 0\nMY_THREADS = 0\n", none},
		"computed":             {"THREADS = int('0')\n", none},
		"computed at last":     {"THREADS = 0\nTHREADS = f()\n", none},
		"chain":                {"THREADS = X = 0\n", none},
		"only annotation":      {"THREADS: int\n", none},
		"unterminated":         {"x = '''\nTHREADS = 0\n", none},
		"backslash at the end": {"THREADS = \\", none},
	} {
		got, found := PeekThreads([]byte(tt.source))
		if !found {
			got = none
		}
		checktest.Equalf(t, got, tt.want, "%s", name)
	}
}

func TestNamesAreFoundInTheTextOfAScript(t *testing.T) {
	for source, want := range map[string]bool{
		"PATHS = []":                  true,
		"x = 1\r\nPATHS=[]":           true,
		"from urls import PATHS":      true,
		"x = f(PATHS)  # PATHS":       true,
		"x.PATHS\ndel PATHS":          true,
		"":                            false,
		"# PATHS\r# PATHS":            false,
		"x = 1  # PATHS":              false,
		"x.PATHS = []":                false,
		"x = ['PATHS', \"PATHS\"]":    false,
		"PATHS_2 = MY_PATHS = éPATHS": false,
	} {
		checktest.Equalf(t, HasWord([]byte(source), "PATHS"), want, "%q", source)
	}
}
