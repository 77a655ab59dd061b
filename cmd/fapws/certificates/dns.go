package certificates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
	"fapws/runtime/system"
)

const (
	// hookWithin limits the duration of a hook, which may wait until its record has reached all name servers.
	hookWithin = 5 * time.Minute

	// cleanupWithin limits the duration of the hooks for cleanup together, when the server stops or is upgraded.
	cleanupWithin = 5 * time.Second

	maxHookOutput = 64 << 10 // in bytes
)

// hookVariables lists variables of the server's environment that hooks get in addition to programs.Environment.
var hookVariables = []string{"HOME", "USER", "LOGNAME", "CREDENTIALS_DIRECTORY"}

// addRecord runs the hook that adds a record to the DNS. remove runs the hook for cleanup. The caller must call remove
// even after an error, because the first hook may have added the record before the error.
func (o *Orders) addRecord(ctx context.Context, a *ACME, env []string) (remove func(), err error) {
	output, err := o.hook(ctx, "acme-dns-hook", a.DNSHook, env)
	return func() {
		_, err := o.hook(o.last, "acme-dns-cleanup-hook", a.DNSCleanup, append(env, "CERTBOT_AUTH_OUTPUT="+output))
		if err != nil {
			o.log(logfile.Warning, err.Error())
		}
	}, err
}

// hook runs the program of a setting and returns its output. The program and its child processes are killed if the
// program takes too long, if it writes too much, or if ctx ends.
func (o *Orders) hook(ctx context.Context, setting, file string, env []string) (output string, err error) {
	if file == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, hookWithin)
	defer cancel()
	all := append(programs.Environment(), env...)
	for _, name := range hookVariables {
		if value, set := os.LookupEnv(name); set {
			all = append(all, name+"="+value)
		}
	}
	// The supervisor reaps all of its children, perhaps before programs.Output gets the exit status of the hook.
	// Therefore the shell writes the exit status to the output.
	out, err := programs.Output(ctx, []string{"/bin/sh", "-c", `"$0"; printf '\n%d' $?`, file}, all, filepath.Dir(file),
		maxHookOutput, func(line string) { o.log(logfile.Info, fmt.Sprintf("%s: %s", filepath.Base(file), line)) })
	text := strings.ReplaceAll(string(out), "\x00", "")
	end := strings.LastIndexByte(text, '\n')
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("did not end within %v", hookWithin)
	case errors.Is(err, context.Canceled):
		err = errors.New("killed, because the server stops or is upgraded")
	case err == nil && end < 0:
		err = errors.New("was killed")
	case err == nil && text[end+1:] != "0":
		err = errors.New("exit status " + text[end+1:])
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", setting, file, err)
	}
	return strings.TrimSpace(text[:max(end, 0)]), err
}

// CheckHook returns an error of one line if the file cannot be a hook, or if users other than its owner and group, or a
// sandboxed application, could replace it. The application can change files in the directories changeable.
func CheckHook(file string, changeable []string) error {
	st, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, system.Cause(err))
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return fmt.Errorf("%s: not an executable file; type chmod +x %s", file, file)
	}
	for _, step := range system.Steps(file) {
		for _, dir := range changeable {
			if strings.HasPrefix(step, strings.TrimSuffix(system.RealPath(dir), "/")+"/") {
				return fmt.Errorf("%s: a sandboxed application could change it, but it runs outside of the sandbox; move it", file)
			}
		}
		st, err := os.Lstat(step)
		if err == nil && st.Mode()&0o002 != 0 && st.Mode()&(fs.ModeSymlink|fs.ModeSticky) == 0 {
			return fmt.Errorf("%s: every user of this machine can change %s (mode %04o); type chmod o-w %s", file, step,
				st.Mode().Perm(), step)
		}
	}
	return nil
}
