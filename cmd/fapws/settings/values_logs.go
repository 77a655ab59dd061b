package settings

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/logfile"
)

// logFormat is a format of the access log.
type logFormat struct{ to *string }

func (v *logFormat) fromText(s string) error {
	if _, err := accesslog.Parse(s); err != nil {
		return fmt.Errorf("a format of the access log: %w", err)
	}
	*v.to = s
	return nil
}

func (v *logFormat) fromScript(x any) error {
	s, ok := x.(string)
	if !ok {
		return errors.New("a string")
	}
	return v.fromText(s)
}

func (v *logFormat) String() string { return *v.to }

// logRotate is when logs are rotated by time.
type logRotate struct{ to *string }

func (v *logRotate) fromText(s string) error {
	switch s {
	case "off", "hourly", "daily", "weekly":
		*v.to = s
		return nil
	}
	if d, ok := ParseDuration(s); !ok || d < time.Second || d > longest {
		return errors.New("off, hourly, daily, weekly, or a time such as 30m, 6h or 2d, from 1s to a year")
	}
	*v.to = s
	return nil
}

func (v *logRotate) fromScript(x any) error {
	switch x := x.(type) {
	case string:
		return v.fromText(x)
	case int64:
		return v.fromText(fmt.Sprint(x))
	}
	return v.fromText("")
}

func (v *logRotate) String() string { return *v.to }

// LogSchedule is LogRotate as package logfile has it.
func (c *Config) LogSchedule() logfile.Schedule {
	switch c.LogRotate {
	case "hourly":
		return logfile.Hourly
	case "daily":
		return logfile.Daily
	case "weekly":
		return logfile.Weekly
	}
	d, _ := ParseDuration(c.LogRotate) // "off" is none
	return logfile.Each(d)
}
