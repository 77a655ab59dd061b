package cgi

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ParseOptions reads the options of a CGIApplication of Python. Options that depend on the process (Site, Gate, Log)
// are not in it. The error is one line.
func ParseOptions(text string) (o Options, err error) {
	var said struct {
		Path         string
		Timeout      float64 // seconds
		Interpreters map[string][]string
		Env          map[string]string
		Index        []string
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return o, err
	}
	o.Root, o.Index = said.Path, said.Index
	o.Timeout = time.Duration(said.Timeout * float64(time.Second))
	if info, err := os.Stat(said.Path); err == nil && !info.IsDir() {
		o.Root, o.Only = filepath.Dir(said.Path), filepath.Base(said.Path)
	}
	o.Interpreters = map[string][]string{}
	for extension, command := range said.Interpreters {
		if len(command) > 0 {
			program, err := exec.LookPath(command[0])
			if err != nil {
				return o, fmt.Errorf("interpreter for %q: program %s not found", extension, command[0])
			}
			command[0] = program
		}
		o.Interpreters[extension] = command
	}
	for name, value := range said.Env {
		o.Env = append(o.Env, name+"="+value)
	}
	return o, nil
}
