package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
)

const prometheusConfig = `
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: shop
    metrics_path: /_fapws/metrics
    static_configs: [{targets: ["%s"]}]
`

func TestPrometheusScrapesTheStatusPage(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("prometheus")
	fapwstest.Needf(t, err == nil, "no prometheus: sudo apt-get install prometheus")
	dir := t.TempDir()
	site := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(everything, fapwstest.Testdata(t, "metrics.py")))
	s := fapwstest.Command{Flags: []string{"--bind", "https://127.0.0.1:0", "--tls", "auto", "-c", site}, Dir: dir,
		Env: []string{"HOME=" + dir}}.Serve(t, fapwstest.Workers)
	get(t, s.URL+"/order")
	config := fapwstest.Write(t, dir+"/prometheus.yml",
		fmt.Sprintf(prometheusConfig, strings.TrimPrefix(s.URL, "http://")))
	at := backendtest.Unused(t)
	p := exec.Command(program, "--config.file", config, "--storage.tsdb.path", dir+"/data", "--web.listen-address", at,
		"--log.level", "error")
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	fapwstest.StartProgram(t, p)
	query := func(what string) string {
		r, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(what))
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		return string(text)
	}
	for what, want := range map[string]string{
		`up{job="shop"}`: `"1"]`,
		`fapws_request_duration_seconds_count{route="/order",code="2xx"}`:                  `"1"]`,
		`histogram_quantile(1, fapws_request_duration_seconds_bucket{route="/order"}) > 0`: `"value"`,
		`shop_orders_total`:           `"kind":"w\"eb\n"`,
		`fapws_workers`:               `"2"]`,
		`count(fapws_threads) by (x)`: `"value"`,
	} {
		fapwstest.Eventually(t, "Prometheus answers "+what, func() bool { return strings.Contains(query(what), want) })
	}
	checkDashboard(t, query, get(t, s.URL+"/_fapws/metrics"))
}

// checkDashboard checks that Prometheus accepts the queries of the Grafana dashboard, and that the server exports the
// metrics in these queries.
func checkDashboard(t *testing.T, query func(string) string, exported string) {
	text := fapwstest.Read(t, fapwstest.Repository+"/contrib/grafana-dashboard.json")
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	fapwstest.Must(t, json.Unmarshal([]byte(text), &board))
	names, shown := regexp.MustCompile(`fapws_\w+`), map[string]bool{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			for _, name := range names.FindAllString(target.Expr, -1) {
				shown[name] = true
				fapwstest.Truef(t, regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(exported), "%s: the server has no %s",
					p.Title, name)
			}
			expr := strings.NewReplacer("$job", "shop", "$__rate_interval", "1m").Replace(target.Expr)
			answer := query(expr)
			fapwstest.Truef(t, strings.HasPrefix(answer, `{"status":"success"`), "%s: %s: %s", p.Title, expr, answer)
		}
	}
	fapwstest.Truef(t, len(shown) >= 20, "the dashboard has only %d metrics", len(shown))
}

const everything = `
status = "/_fapws"
cache = true
[[host]]
route = [
  { prefix = "/upstream", proxy = "http://127.0.0.1:9" },
  { prefix = "/", app = "%s" },
]
`

func TestPrometheusClientMetricsAreServedByTheApplication(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "prometheus_client")
	dir := t.TempDir()
	script := fapwstest.Write(t, dir+"/app.py", `
from prometheus_client import CollectorRegistry, Counter, make_wsgi_app, multiprocess
from fapws import metrics
THEIRS = Counter("theirs", "By the library.")
OURS = metrics.counter("ours", "By fapws.")
def count(environ, start_response):
    THEIRS.inc()
    OURS.add(1)
    return "counted"
ALL = CollectorRegistry()
multiprocess.MultiProcessCollector(ALL)
PATHS = [("/count", count), ("/metrics", make_wsgi_app(ALL))]
`)
	s := fapwstest.Command{Script: script, Flags: []string{"--status", "/_fapws"},
		Env: []string{"PROMETHEUS_MULTIPROC_DIR=" + dir}}.Serve(t, fapwstest.Workers)
	get(t, s.URL+"/count")
	old := s.Workers()
	s.Control("reload")
	s.HasWorkers(2, old...)
	for range 2 {
		get(t, s.URL+"/count")
	}
	samples(t, s, "ours_total", 3)
	ours := answerTo(s, "GET", "/_fapws/metrics").Text
	theirs := get(t, s.URL+"/metrics")
	fapwstest.Truef(t, sample(t, theirs, "theirs_total") == 3 && !strings.Contains(theirs, "ours_total") &&
		!strings.Contains(ours, "theirs") && sample(t, ours, "ours_total") == 3, "%s\n%s", theirs, ours)
}

func TestForkedProcessesDoNotCountMetrics(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
from fapws import metrics
DONE = metrics.counter("done", "Requests.")
def count(environ, start_response):
    DONE.add()
    return "counted"
PATHS = [("/count", count)]
`)
	s := fapwstest.Serve(t, fapwstest.Forks, script, "--status", "/_fapws")
	s.Says("warning fapws.metrics does not count what handlers do in the processes of --fork")
	get(t, s.URL+"/count")
	fapwstest.Lacks(t, metricsOf(t, s), "done_total")
	answerTo(s, "POST", "/_fapws/profile").Want(t, 503, "the processes of --fork are not profiled")
}

func TestKeptUpstreamConnectionIsCounted(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "upstream") })
	s := fapwstest.ServeProxy(t, upstream.URL, "proxy-idle = '1h'\n")
	samples(t, s, "fapws_upstream_connections_idle", 0)
	get(t, s.URL+"/")
	samples(t, s, "fapws_upstream_connections_idle", 1)
	samples(t, s, "fapws_upstream_requests", 0)
}
