package settings

import (
	"testing"

	"fapws/runtime/checktest"
)

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
