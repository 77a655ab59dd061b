package ctl

import (
	"embed"
	"slices"
)

//go:embed help/*.txt
var helpTexts embed.FS

// Help returns the help text of a command, or of all commands if c is not a command.
func Help(c Command) string {
	if !slices.Contains(Commands, c) {
		c = "ctl"
	}
	text, _ := helpTexts.ReadFile("help/" + string(c) + ".txt")
	server, _ := helpTexts.ReadFile("help/server.txt")
	return string(text) + string(server)
}
