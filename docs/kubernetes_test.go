package docs

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

func TestKubernetesManifestHasConsistentNumbers(t *testing.T) {
	page := read(t, "cluster.md")
	find := func(pattern string) string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(page)
		checktest.Needf(t, found != nil, "the manifest has no %s", pattern)
		return found[1]
	}
	seconds := func(pattern string) time.Duration {
		return time.Duration(checktest.Try(strconv.Atoi(find(pattern))).Must(t)) * time.Second
	}
	var args []string
	checktest.Must(t, json.Unmarshal([]byte(find(`args: (\[.*\])`)), &args))
	config, err := exec.Command(fapwstest.Binary(t), append([]string{"--print-config"}, args[:len(args)-1]...)...).
		CombinedOutput()
	checktest.Mustf(t, err, "%s", config)
	setting := func(name string) string {
		t.Helper()
		found := regexp.MustCompile(`(?m)^` + name + ` +(\S+)`).FindSubmatch(config)
		checktest.Needf(t, found != nil, "no %s in\n%s", name, config)
		return string(found[1])
	}
	lasts := func(name string) time.Duration {
		return checktest.Try(time.ParseDuration(setting(name))).Must(t)
	}

	health, port := setting("health"), find(`containerPort: (\d+)`)
	i := slices.Index(args, "--bind")
	checktest.Truef(t, i >= 0 && args[i+1] == "0.0.0.0:"+port, "%q does not listen on port %s", args, port)
	for probe, path := range map[string]string{"startup": health + "/ready", "readiness": health + "/ready",
		"liveness": health} {
		find(`(` + probe + `Probe:\n +httpGet: \{path: ` + path + `, port: ` + port + `\}\n)`)
	}
	find(`(targetPort: ` + port + `)\n`)
	allowed, load := seconds(`startupProbe:[^}]*\}\n +periodSeconds: 1\n +failureThreshold: (\d+)`), lasts("load-timeout")
	checktest.Truef(t, allowed >= load, "the startup probe ends after %v, loading after %v", allowed, load)
	ends := seconds(`preStop:\n +sleep: \{seconds: (\d+)\}`) + lasts("shutdown-delay") + lasts("graceful-timeout")
	if grace := seconds(`terminationGracePeriodSeconds: (\d+)`); grace < ends+5*time.Second {
		t.Errorf("the end of a pod takes up to %v, and Kubernetes kills it after %v", ends, grace)
	}
}
