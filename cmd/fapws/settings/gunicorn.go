package settings

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// gunicornFlags lists the settings of a gunicorn.conf.py, each with its flag if that has another name. gunicorn ignores
// all other names, which the file may use for its own purposes.
const gunicornFlags = `bind backlog workers worker_class threads worker_connections max_requests max_requests_jitter
	timeout graceful_timeout keepalive=keep-alive limit_request_line limit_request_fields limit_request_field_size
	reload reload_engine reload_extra_files=reload-extra-file spew preload_app=preload reuse_port chdir daemon
	raw_env=env pidfile=pid worker_tmp_dir user group umask initgroups tmp_upload_dir secure_scheme_headers
	forwarded_allow_ips accesslog=access-log access_log_format errorlog=error-log loglevel=log-level capture_output
	logger_class logconfig=log-config logconfig_dict=log-config logconfig_json=log-config-json syslog_addr=log-syslog-to
	syslog=log-syslog syslog_prefix=log-syslog-prefix syslog_facility=log-syslog-facility
	disable_redirect_access_to_syslog enable_stdio_inheritance statsd_host dogstatsd_tags statsd_prefix proc_name=name
	pythonpath paste proxy_protocol proxy_allow_ips=proxy-allow-from keyfile certfile ssl_version cert_reqs ca_certs
	suppress_ragged_eofs do_handshake_on_connect ciphers permit_obsolete_folding strip_header_spaces
	permit_unconventional_http_method permit_unconventional_http_version casefold_http_method forwarder_headers
	header_map dirty_apps dirty_workers http_protocols`

var gunicornHooks = strings.Fields(`on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int
	worker_abort pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context`)

// TakeGunicorn reads the settings of a gunicorn.conf.py from its global variables, whose values are texts as after a
// flag. source is the text of the file. Flags, environment variables and GUNICORN_CMD_ARGS take precedence. app is the
// application that the file names, or "". TakeGunicorn returns a line for each setting that fapws does not support or that
// seems misspelled, and one line for all hooks. The error has a line for each wrong value.
func (s *Settings) TakeGunicorn(file string, source []byte, globals map[string]string) (app string, lines []string, err error) {
	rows := newParser(table(), nil)
	names := append([]string{"wsgi_app"}, gunicornHooks...)
	var wrong []error
	for word := range strings.FieldsSeq(gunicornFlags) {
		name, flag, _ := strings.Cut(word, "=")
		if flag == "" {
			flag = strings.ReplaceAll(name, "_", "-")
		}
		names = append(names, name)
		value, given := globals[name]
		if !given || value == "no" && rows.set.Lookup(flag) == nil { // off, as always in fapws
			continue
		}
		place := lineOf(name, file, source)
		if rows.set.Lookup(flag) == nil {
			answer := foreignAnswer("--"+flag, value)
			lines = append(lines, fmt.Sprintf("%s: %s is ignored: %s", place, name, cmp.Or(answer, "fapws has no such setting")))
			continue
		}
		from := Source{FromFile, place}
		if place == file {
			from.Name += " (" + name + ")"
		}
		for _, err := range s.takeFlags(from, []string{"--" + flag + "=" + value}) {
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", place, name, err))
		}
	}
	for _, found := range assigned().FindAllSubmatch(source, -1) {
		name := string(found[1])
		// A name that occurs again is a variable of the file itself.
		again := len(regexp.MustCompile(`\b`+name+`\b`).FindAll(source, 2)) > 1
		if near := Nearest(name, names); near != "" && !slices.Contains(names, name) && !again {
			lines = append(lines, fmt.Sprintf("%s: %s is ignored, did you mean %s?", lineOf(name, file, source), name, near))
		}
	}
	hooks := slices.DeleteFunc(slices.Clone(gunicornHooks), func(name string) bool { return globals[name] == "" })
	if len(hooks) > 0 {
		lines = append(lines, fmt.Sprintf("%s: ignored: %s: fapws runs no hooks of gunicorn; their code belongs in the "+
			"application, see fapws help migrate", file, strings.Join(hooks, ", ")))
	}
	return globals["wsgi_app"], lines, JoinPath(wrong...)
}

var assigned = Pattern(`(?m)^([a-z_]+) *=`)

// lineOf returns "FILE:LINE" of the last assignment to a global variable of a Python file, or FILE if there is none, as
// for a variable that the file imports.
func lineOf(name, file string, source []byte) string {
	found := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`\b[^=\n]*=`).FindAllIndex(source, -1)
	if len(found) == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, bytes.Count(source[:found[len(found)-1][0]], []byte("\n"))+1)
}
