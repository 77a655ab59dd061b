package ssi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime"
	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/static"
)

// differences maps the names of pages that fapws and Apache 2.4 process differently to the reasons.
var differences = map[string]string{
	"captures.shtml": "with the expressions of 2.4, Apache has $0 but forgets how many groups there were, so " +
		"that $1 is undefined",
	"dynamicinfo.shtml": "Apache's SCRIPT_NAME of an included program has PATH_INFO in it, against RFC 3875",
	"dynamicstatus.shtml": "Apache writes what a program sends with a status of 302 or 404; we take it for the error " +
		"that it is, and onerror sees it",
	"entities.shtml":    "Apache decodes entities to ISO 8859-1 and leaves out other characters; our pages are UTF-8",
	"hiddenerror.shtml": "after a value without a name in text that is not shown, Apache carries out no further element",
	"nestedfile.shtml":  "Apache takes paths in a page included by file from another directory as relative to the top",
}

// badConditions lists the pages with conditions that cannot be evaluated. For such a condition, fapws and Apache since
// 2.4.68 omit all branches, whereas older versions of Apache continue as if there were no condition.
var badConditions = []string{"expressions.shtml", "iferror.shtml", "legacy.shtml"}

// behindError matches a line with an error message, and its group matches the line up to the end of the last error
// message.
var behindError = regexp.MustCompile(`(?m)^(.*this directive\]).*$`)

// showsBadConditions reports whether apache2 is older than 2.4.68 and therefore shows the branches of conditions that
// cannot be evaluated.
func showsBadConditions(t *testing.T) bool {
	text := checktest.Try(exec.Command("apache2", "-v").Output()).Must(t)
	var patch int
	_, version, _ := strings.Cut(string(text), "Apache/")
	_, err := fmt.Sscanf(version, "2.4.%d", &patch)
	checktest.Mustf(t, err, "%s", text)
	return patch < 68
}

func TestPagesAreProcessedLikeApache(t *testing.T) {
	root := copySite(t)
	address := backendtest.Unused(t)
	host, _, _ := net.SplitHostPort(address)
	apache, ours := startApache(t, root, address), startOurs(t, root, host)
	var pages []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".shtml") {
			pages = append(pages, strings.TrimPrefix(path, root))
		}
		return err
	})
	checktest.Needf(t, err == nil && len(pages) >= 40, "%v %v", len(pages), err)
	before68 := showsBadConditions(t)
	for _, page := range pages {
		name := strings.TrimPrefix(page, "/")
		t.Run(name, func(t *testing.T) {
			theirs, ours := ask(t, apache+page+"?q=1&r=a%20b"), ask(t, ours+page+"?q=1&r=a%20b")
			if before68 && slices.Contains(badConditions, name) {
				theirs, ours = behindError.ReplaceAllString(theirs, "$1"), behindError.ReplaceAllString(ours, "$1")
			}
			comparePage(t, page, theirs, ours)
		})
	}
	for page := range differences {
		checktest.Truef(t, slices.Contains(pages, "/"+page), "there is no page %s", page)
	}
}

func comparePage(t *testing.T, page, theirs, ours string) {
	theirs, ours = common(theirs), common(ours)
	why := differences[strings.TrimPrefix(page, "/")]
	switch {
	case why == "" && theirs != ours:
		t.Errorf("Apache:\n%s\nfapws:\n%s", theirs, ours)
	case why != "" && theirs == ours:
		t.Errorf("it is no more that %s:\n%s", why, ours)
	}
}

// own matches lines in the output of printenv that only one of the two servers prints, or that contain ports or times.
var own = regexp.MustCompile(`(?m)^(PATH|SERVER_SIGNATURE|SERVER_SOFTWARE|SERVER_ADMIN|CONTEXT_\w+|HTTP_HOST|` +
	`\w+_PORT|DATE_\w+)=.*\n`)

func common(page string) string { return own.ReplaceAllString(page, "") }

func ask(t *testing.T, url string) string {
	t.Helper()
	req := checktest.Try(http.NewRequest("GET", url, nil)).Must(t)
	for name, value := range map[string]string{"User-Agent": "test", "X-Mark": "mark", "Proxy": "evil",
		"Authorization": "Basic secret"} {
		req.Header.Set(name, value)
	}
	req.Header["X-List"] = []string{"one", "two"}
	r := checktest.Try(http.DefaultClient.Do(req)).Must(t)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	checktest.Needf(t, err == nil && r.StatusCode == 200, "%s: %s %v", url, r.Status, err)
	return string(body)
}

func copySite(t *testing.T) string {
	base := checktest.Try(os.MkdirTemp("", "ssi-")).Must(t)
	t.Cleanup(func() { os.RemoveAll(base) })
	root := filepath.Join(base, "site")
	checktest.Must(t, os.CopyFS(root, os.DirFS("testdata/site")))
	for name, size := range map[string]int64{"big.txt": 1234567, "kilo.txt": 1000, "mega.txt": 9_900_000, "0.txt": 0,
		"999.txt": 999, "972.txt": 972, "973.txt": 973, "1K.txt": 1 << 10, "1536.txt": 1536, "10K.txt": 10 << 10,
		"999K.txt": 999 << 10, "5G.txt": 5 << 30} {
		checktest.Must(t, os.WriteFile(filepath.Join(root, name), nil, 0o644))
		checktest.Must(t, os.Truncate(filepath.Join(root, name), size))
	}
	at := time.Date(2024, 1, 7, 5, 4, 9, 0, time.UTC)
	err := filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() || strings.HasSuffix(path, ".cgi") {
			mode = 0o755
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	checktest.Must(t, err)
	old := time.Date(2023, 12, 31, 23, 59, 58, 0, time.UTC)
	checktest.Must(t, os.Chtimes(filepath.Join(root, "sub/modified.shtml"), old, old))
	return root
}

func startApache(t *testing.T, root, address string) string {
	backendtest.Apache(t, t.TempDir(), address, []string{"mpm_prefork", "authz_core", "mime", "include", "cgi"},
		fmt.Sprintf(`
DocumentRoot %[1]s
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
AddHandler cgi-script .cgi
<Directory %[1]s>
	Options +Includes +ExecCGI
	Require all granted
</Directory>
<Files "legacy*">
	SSILegacyExprParser on
</Files>
`, root))
	return "http://" + address
}

func startOurs(t *testing.T, root, host string) string {
	plain := checktest.Try(static.New(static.Options{Root: root})).Must(t)
	log := func(_, line string) { t.Log(line) }
	pages := checktest.Try(New(Options{Files: plain, Root: root, AllowExec: true, Log: log})).Must(t)
	programs := checktest.Try(programs.NewCGI(programs.CGIOptions{ScriptOptions: programs.ScriptOptions{Root: root,
		Match: []string{"*.cgi"}}, Common: programs.Common{Log: log}})).Must(t)
	handler := backend.New(100, func(line string) { t.Log(line) }).
		Handler(backend.Func(func(w *backend.ResponseWriter, r *backend.Request) {
			switch {
			case pages.isPage(r.Path):
				pages.Respond(w, r)
			case strings.Contains(r.Path, ".cgi"):
				programs.Respond(w, r)
			default:
				f, info, err := plain.OpenPath(r.Path)
				if err != nil {
					w.Refuse(404, "")
					return
				}
				w.Start(exchange.Head{Status: 200, Length: info.Size()})
				io.Copy(w, f)
				f.Close()
			}
		}))
	server := checktest.Try(runtime.New(runtimetest.Config())).Must(t)
	listener := checktest.Try(conn.Listen(host+":0", conn.ListenOptions{})).Must(t)
	table := []exchange.Mount{{Prefix: "/", Handler: handler}}
	checktest.Must(t, server.Serve([]*conn.Listener{listener}, []exchange.Site{{Table: table}}, nil))
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}
