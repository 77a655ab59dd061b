package confine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestUserAndGroupAreLookedUp(t *testing.T) {
	daemon := checktest.Try(user.Lookup("daemon")).Must(t)
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	for _, tt := range []struct {
		user, group string
		by          int
		want        *Identity
		fails       string
	}{
		{"daemon", "", 0, &Identity{uid, gid, []int{gid}, "daemon", daemon.HomeDir}, ""},
		{daemon.Uid, "", 0, &Identity{uid, gid, []int{gid}, "daemon", daemon.HomeDir}, ""},
		{"54321", "", 0, &Identity{54321, 65534, []int{65534}, "", "/"}, ""},
		{"54321", "54322", 0, &Identity{54321, 54322, []int{54322}, "", "/"}, ""},
		{"", "54322", 0, &Identity{0, 54322, []int{54322}, "root", "/root"}, ""},
		{"no-such-user", "", 0, nil, `unknown user "no-such-user"; correct the name, or create the user`},
		{"daemon", "no-such-group", 0, nil, `unknown group "no-such-group"; correct the name, or create the group`},
		{"-1", "", 0, nil, `unknown user "-1"`},
		{"4294967295", "", 0, nil, "unknown user"},
		{"99999999999", "", 0, nil, "unknown user"},
		{"54321", "", 54321, nil, "only root can"},
		{"54321", "54321", 54321, &Identity{54321, 54321, []int{54321}, "", "/"}, ""},
		{"root", "", 54321, nil, "cannot become root:root: only root can, and fapws was started as user 54321"},
		{"", "0", 54321, nil, "only root can"},
	} {
		id, err := lookup(tt.user, tt.group, tt.by, tt.by)
		if tt.fails != "" {
			checktest.Truef(t, err != nil && strings.Contains(err.Error(), tt.fails) && !strings.Contains(err.Error(), "\n"),
				"%s:%s by %d: error %v, want %q in it", tt.user, tt.group, tt.by, err, tt.fails)
			continue
		}
		checktest.Truef(t, err == nil && fmt.Sprint(*id) == fmt.Sprint(*tt.want),
			"%s:%s by %d: %+v, %v, want %+v", tt.user, tt.group, tt.by, id, err, tt.want)
	}
}

func TestOwnerIsParsed(t *testing.T) {
	daemon := checktest.Try(user.Lookup("daemon")).Must(t)
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	for text, want := range map[string][2]int{
		"daemon": {uid, -1}, "daemon:": {uid, -1}, "daemon:daemon": {uid, gid}, ":daemon": {-1, gid},
		"54321": {54321, -1}, "54321:54322": {54321, 54322}, ":54322": {-1, 54322},
	} {
		u, g, err := Owner(text)
		checktest.Truef(t, err == nil && u == want[0] && g == want[1], "%s: %d, %d, %v, want %v", text, u, g, err, want)
	}
	for _, text := range []string{"no-such-user", ":no-such-group", "daemon:no-such-group", "a:b:c"} {
		_, _, err := Owner(text)
		checktest.Truef(t, err != nil, "%s: no error", text)
	}
}

func makeSystem(t *testing.T, files, links map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	put := func(name, text string, write func(text, path string) error) {
		path := filepath.Join(root, name)
		checktest.Must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), write(text, path)))
	}
	for name, text := range files {
		put(name, text, func(text, path string) error { return os.WriteFile(path, []byte(text), 0o644) })
	}
	for name, target := range links {
		put(name, target, os.Symlink)
	}
	return root
}

func TestContainerIsDetected(t *testing.T) {
	normal := map[string]string{"proc/self/ns/pid": "pid:[4026531836]", "proc/self/ns/user": "user:[4026531837]",
		"proc/self/ns/uts": "uts:[4026531838]", "proc/self/ns/ipc": "ipc:[4026531839]",
		"proc/self/ns/cgroup": "cgroup:[4026531835]"}
	hostPIDs := maps.Clone(normal) // the namespaces of a container started by "docker run --pid=host"
	hostPIDs["proc/self/ns/uts"] = "uts:[4026532200]"
	for _, c := range []struct {
		name         string
		files, links map[string]string
		env          string
		want         bool
	}{
		{"normal", map[string]string{"proc/1/environ": "HOME=/\x00TERM=linux\x00", "proc/1/cgroup": "0::/init.scope\n"},
			normal, "", false},
		{"without proc", nil, nil, "", false},
		{"Docker", map[string]string{".dockerenv": ""}, hostPIDs, "", true},
		{"Docker without proc", map[string]string{".dockerenv": ""}, nil, "", true},
		{"a virtual machine made from an image", map[string]string{".dockerenv": ""}, normal, "", false},
		{"a service with PrivateIPC or ProtectHostname", nil, hostPIDs, "", false},
		{"Podman", map[string]string{"run/.containerenv": ""}, hostPIDs, "", true},
		{"systemd-nspawn", map[string]string{"run/systemd/container": "systemd-nspawn"}, hostPIDs, "", true},
		{"environment of process 1", map[string]string{"proc/1/environ": "HOME=/\x00container=lxc\x00"}, normal, "", true},
		{"another name in it", map[string]string{"proc/1/environ": "nocontainer=1\x00"}, normal, "", false},
		{"control group", map[string]string{"proc/1/cgroup": "4:memory:/kubepods/besteffort/pod1\n"}, normal, "", true},
		{"PID namespace", nil, map[string]string{"proc/self/ns/pid": "pid:[4026532201]",
			"proc/self/ns/user": "user:[4026531837]"}, "", true},
		{"user namespace", nil, map[string]string{"proc/self/ns/pid": "pid:[4026531836]",
			"proc/self/ns/user": "user:[4026532200]"}, "", true},
		{"environment", nil, normal, "container", true},
		{"Kubernetes", nil, normal, "KUBERNETES_SERVICE_HOST", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(name string) string {
				if name == c.env {
					return "set"
				}
				return ""
			}
			checktest.Equal(t, inContainer(makeSystem(t, c.files, c.links), getenv), c.want)
		})
	}
}

func TestSystemWithoutOtherUsersHasOnlyRoot(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                true,
		"root:x:0:0:root:/root:/bin/sh\n": true,
		"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n# a comment\n":             true,
		"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n":    false,
		"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin": false,
	} {
		path := filepath.Join(makeSystem(t, map[string]string{"passwd": text}, nil), "passwd")
		checktest.Equalf(t, onlyRoot(path), want, "%q", text)
	}
	checktest.Truef(t, onlyRoot(filepath.Join(t.TempDir(), "none")), "without the file")
}

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
