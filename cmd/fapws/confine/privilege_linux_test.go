package confine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// asHelper makes the test binary drop root, in the way the variable says, and
// report.
const asHelper = "PRIVILEGE_TEST_HELPER"

func TestMain(m *testing.M) {
	if as := os.Getenv(asHelper); as != "" {
		username, group, _ := strings.Cut(as, ":")
		if err := helper(username, group); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper assumes an identity while many threads are there, and prints what
// each of them is afterwards.
func helper(username, group string) error {
	id, err := LookupIdentity(username, group)
	if err != nil {
		return err
	}
	const threads = 8
	ready, dropped, report := make(chan bool), make(chan bool), make(chan string)
	for range threads {
		go func() {
			goruntime.LockOSThread()
			ready <- true
			<-dropped
			_, _, errno := syscall.RawSyscall(syscall.SYS_SETUID, 0, 0, 0)
			report <- fmt.Sprintf("thread: %s root again: %v", status(), errno == 0)
		}()
	}
	for range threads {
		<-ready
	}
	if err := id.Assume(false); err != nil {
		return err
	}
	close(dropped)
	for range threads {
		fmt.Println(<-report)
	}
	return id.Assume(false) // it is that already
}

// status is the state of the calling thread in /proc, in one line.
func status() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", syscall.Gettid()))
	if err != nil {
		return err.Error()
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		for _, name := range []string{"Uid:", "Gid:", "Groups:", "CapEff:"} {
			if strings.HasPrefix(line, name) {
				found = append(found, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return strings.Join(found, ", ")
}

// TestAssume drops root for real, in a separate process. Without root, it sees
// that it is refused.
func TestAssume(t *testing.T) {
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ as, uid, gid, groups string }{
		{"daemon:", daemon.Uid, daemon.Gid, daemon.Gid},
		{"daemon:0", daemon.Uid, "0", "0 " + daemon.Gid},
		{daemon.Uid + ":65534", daemon.Uid, "65534", daemon.Gid + " 65534"},
		{"54321:", "54321", "65534", "65534"},
		{"54321:54322", "54321", "54322", "54322"},
	} {
		t.Run(tt.as, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asHelper+"="+tt.as)
			out, err := cmd.Output()
			if os.Geteuid() != 0 {
				if err == nil || !strings.Contains(string(out), "only root can") {
					t.Errorf("%v: %s", err, out)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := "thread: Uid: " + strings.Repeat(" "+tt.uid, 4)[1:] + ", Gid: " + strings.Repeat(" "+tt.gid, 4)[1:] +
				", Groups: " + tt.groups + ", CapEff: 0000000000000000 root again: false"
			lines := slices.Compact(strings.Split(strings.TrimSpace(string(out)), "\n"))
			if len(lines) != 1 || lines[0] != want {
				t.Errorf("threads are\n%s\nwant\n%s", out, want)
			}
		})
	}
}

// TestCredential: a child that is started with it is the identity from its
// first instruction.
func TestCredential(t *testing.T) {
	if os.Geteuid() != 0 {
		id, err := LookupIdentity("", "")
		if err != nil || id.Credential() != nil {
			t.Errorf("%v: a process that is not root changes its children", err)
		}
		return
	}
	id, err := LookupIdentity("daemon", "54322")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $LOGNAME")
	cmd.Dir = "/"
	for _, name := range []string{"HOME", "USER", "LOGNAME"} {
		t.Setenv(name, "root")
	}
	if err := id.SetEnviron(); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id.Credential()}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d\n54322\n54322 %s\n%s daemon daemon\n", id.UID, withoutLast(id.Groups), id.Home)
	if out.String() != want {
		t.Errorf("the child is\n%swant\n%s", &out, want)
	}
}

// TestEnvironOfUnknownUser: a user without an entry does not get another user's name.
func TestEnvironOfUnknownUser(t *testing.T) {
	for _, name := range []string{"HOME", "USER", "LOGNAME"} {
		t.Setenv(name, "root")
	}
	if err := (&Identity{UID: 54321, Home: "/"}).SetEnviron(); err != nil {
		t.Fatal(err)
	}
	user, is := os.LookupEnv("USER")
	logname, also := os.LookupEnv("LOGNAME")
	if os.Getenv("HOME") != "/" || is || also {
		t.Errorf("HOME=%s USER=%s LOGNAME=%s", os.Getenv("HOME"), user, logname)
	}
}

func withoutLast(groups []int) string {
	texts := make([]string, len(groups)-1)
	for i := range texts {
		texts[i] = strconv.Itoa(groups[i])
	}
	return strings.Join(texts, " ")
}

func TestLookup(t *testing.T) {
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	for _, tt := range []struct {
		user, group string
		by          int // user and group that ask
		want        *Identity
		fails       string // a part of the error
	}{
		{"daemon", "", 0, &Identity{uid, gid, []int{gid}, "daemon", daemon.HomeDir}, ""},
		{daemon.Uid, "", 0, &Identity{uid, gid, []int{gid}, "daemon", daemon.HomeDir}, ""},
		{"54321", "", 0, &Identity{54321, 65534, []int{65534}, "", "/"}, ""},
		{"54321", "54322", 0, &Identity{54321, 54322, []int{54322}, "", "/"}, ""},
		{"", "54322", 0, &Identity{0, 54322, []int{54322}, "root", "/root"}, ""},
		{"no-such-user", "", 0, nil, `unknown user "no-such-user"`},
		{"daemon", "no-such-group", 0, nil, `unknown group "no-such-group"`},
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
			if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s:%s by %d: error %v, want %q in it", tt.user, tt.group, tt.by, err, tt.fails)
			}
			continue
		}
		if err != nil || fmt.Sprint(*id) != fmt.Sprint(*tt.want) {
			t.Errorf("%s:%s by %d: %+v, %v, want %+v", tt.user, tt.group, tt.by, id, err, tt.want)
		}
	}
}

func TestOwner(t *testing.T) {
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	for text, want := range map[string][2]int{
		"daemon": {uid, -1}, "daemon:": {uid, -1}, "daemon:daemon": {uid, gid}, ":daemon": {-1, gid},
		"54321": {54321, -1}, "54321:54322": {54321, 54322}, ":54322": {-1, 54322},
	} {
		if u, g, err := Owner(text); err != nil || u != want[0] || g != want[1] {
			t.Errorf("%s: %d, %d, %v, want %v", text, u, g, err, want)
		}
	}
	for _, text := range []string{"no-such-user", ":no-such-group", "daemon:no-such-group", "a:b:c"} {
		if _, _, err := Owner(text); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// TestMatches: a remainder of root in any field of a thread is found.
func TestMatches(t *testing.T) {
	id := &Identity{UID: 7, GID: 8, Groups: []int{8, 9}}
	const good = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t8 9 \nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
	if err := id.matches(good, true, 0); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{
		{"7\t7\t7\t7", "0\t7\t7\t7"},
		{"7\t7\t7\t7", "7\t0\t7\t7"},
		{"7\t7\t7\t7", "7\t7\t0\t7"},
		{"7\t7\t7\t7", "7\t7\t7\t0"},
		{"8\t8\t8\t8", "8\t8\t0\t8"},
		{"8 9 ", "0 8 9 "},
		{"8 9 ", ""},
		{"Uid:", "Vid:"},
		{"CapPrm:\t0000000000000000", "CapPrm:\t0000000000000400"},
		{"CapEff:\t0000000000000000", "CapEff:\t0000000000000400"},
	} {
		if bad := strings.Replace(good, change[0], change[1], 1); bad == good || id.matches(bad, true, 0) == nil {
			t.Errorf("%q instead of %q is not found", change[1], change[0])
		}
	}
}

// TestSupplementaryGroups compares with the group database.
func TestSupplementaryGroups(t *testing.T) {
	text, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 4 || fields[3] == "" {
			continue
		}
		for _, member := range strings.Split(fields[3], ",") {
			id, err := lookup(member, "", 0, 0)
			if err != nil {
				continue // a member that is no user
			}
			gid, _ := strconv.Atoi(fields[2])
			if !slices.Contains(id.Groups, gid) {
				t.Errorf("%s is in %s, and not in %v", member, fields[0], id.Groups)
			}
			compared++
		}
	}
	t.Logf("%d memberships compared", compared)
}
