package confine

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/checktest"
)

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
		name  string
		files map[string]string
		links map[string]string
		env   string
		want  bool
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
		{"environment of process 1", map[string]string{"proc/1/environ": "HOME=/\x00container=lxc\x00"}, normal, "",
			true},
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
