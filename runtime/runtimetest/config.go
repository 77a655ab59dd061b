package runtimetest

import (
	"fapws/cmd/fapws/settings"
	"fapws/runtime"
)

// Config returns the Config of a server whose user has set nothing.
func Config() runtime.Config {
	set, err := settings.New(settings.Table(settings.Machine{}), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		panic(err)
	}
	conf, err := set.Config()
	if err != nil {
		panic(err)
	}
	return conf.Server
}
