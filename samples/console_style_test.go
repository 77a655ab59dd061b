package samples

import (
	"os"
	"regexp"
	"testing"

	"fapws/runtime/http1"
)

func TestConsoleHasTheColorsOfTheServersPages(t *testing.T) {
	css, err := os.ReadFile("console/www/console.css")
	if err != nil {
		t.Fatal(err)
	}
	for server, console := range map[string]string{"bg": "back", "box": "card", "fg": "text", "dim": "dim",
		"line": "line", "red": "bad", "do": "accent", "on": "on"} {
		colors := func(name, text string) []string {
			var found []string
			for _, one := range regexp.MustCompile(`--`+name+`:\s*(#\w+)`).FindAllStringSubmatch(text, -1) {
				found = append(found, one[1])
			}
			return found
		}
		ours, theirs := colors(server, http1.Style), colors(console, string(css))
		if len(ours) != 2 || len(theirs) != 2 || ours[0] != theirs[0] || ours[1] != theirs[1] {
			t.Errorf("--%s is %v, --%s of the console is %v", server, ours, console, theirs)
		}
	}
}
