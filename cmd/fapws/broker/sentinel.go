package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// askSentinels returns why sentinels do not tell where the master is, or "" if one of them does: go-redis keeps that to itself.
func askSentinels(ctx context.Context, o *redis.UniversalOptions) string {
	var reasons []string
	for _, address := range o.Addrs {
		err := askSentinel(ctx, o, address)
		switch {
		case err == nil:
			return ""
		case errors.Is(err, redis.Nil):
			err = fmt.Errorf("unknown master %q", o.MasterName)
		case isLogin(err):
			err = fmt.Errorf("%w (give ?sentinel_password=)", err)
		}
		reasons = append(reasons, fmt.Sprintf("sentinel %s: %s", address, err))
	}
	return strings.Join(reasons, "; ")
}

func askSentinel(ctx context.Context, o *redis.UniversalOptions, address string) error {
	s := redis.NewSentinelClient(&redis.Options{Addr: address, Password: o.SentinelPassword, TLSConfig: o.TLSConfig, MaxRetries: -1,
		DialTimeout: answerWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin})
	defer s.Close()
	return s.GetMasterAddrByName(ctx, o.MasterName).Err()
}
