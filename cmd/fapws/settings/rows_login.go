package settings

import "time"

func loginRows() []*Setting {
	return []*Setting{
		{
			Name: "login", Group: GroupAddress, Arg: "FILE", path: true,
			Help:  "require users of this file to log in by a form, for everything but hosts and routes that say otherwise; fapws user add makes users, or the browser the first one, with a code that the log shows",
			value: func(c *Config) value { return &text{&c.LoginUsers} },
		},
		{
			Name: "login-idle", Group: GroupAddress, Arg: "TIME", Default: "30m",
			Help:  "a session of login ends when it was not used for this time",
			value: func(c *Config) value { return &duration{&c.LoginIdle, time.Second} },
		},
		{
			Name: "login-age", Group: GroupAddress, Arg: "TIME", Default: "12h",
			Help:  "a session of login ends after this time, even if it is used",
			value: func(c *Config) value { return &duration{&c.LoginAge, time.Second} },
		},
	}
}
