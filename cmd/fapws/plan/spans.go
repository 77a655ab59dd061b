package plan

import (
	"context"
	"os"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
	"fapws/runtime/otel"
)

// OpenSpans returns the exporter of spans, or nil if conf or the variables of OpenTelemetry disable spans. OpenSpans
// must be called before the process enters a chroot. If was, the exporter from a previous call in this process, is not
// nil, OpenSpans returns it again. The error is a *process.ExitError with a line for each wrong variable.
func OpenSpans(conf *settings.Config, was *otel.Exporter, warn func(line string)) (*otel.Exporter, error) {
	if was != nil || !conf.OTel {
		return was, nil
	}
	c, err := otel.Read(os.LookupEnv)
	if err != nil {
		return nil, process.ExitUsage(err)
	}
	if c == nil {
		return nil, nil
	}
	if conf.Chroot != "" {
		lookUp(c, warn)
	}
	return otel.New(c, process.Version, warn), nil
}

func lookUp(c *otel.Config, warn func(line string)) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.LookUp(ctx); err != nil {
		warn(err.Error())
	}
}

func checkSpans(b *builder) {
	c, err := otel.Read(os.LookupEnv)
	if err != nil {
		b.wrong(err)
	} else if c != nil && b.plan.Command.Word == settings.WordCheck {
		lookUp(c, func(line string) { b.parts.Log(logfile.Warning, line) })
	}
}
