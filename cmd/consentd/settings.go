package main

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/consentd/consentd/internal/config"
)

// Settings are flags made from the table of settings. They have no defaults of
// their own, so that config knows where a value came from.
type Settings struct {
	kong.Plugins
	names []string
}

// newSettings makes flags of the settings named, or of all.
func newSettings(names ...string) Settings {
	var s Settings
	var fields []reflect.StructField
	for _, setting := range config.Settings() {
		if len(names) > 0 && !slices.Contains(names, setting.Name) {
			continue
		}
		s.names = append(s.names, setting.Name)
		kind := reflect.TypeFor[*string]()
		if setting.Repeatable {
			kind = reflect.TypeFor[[]string]()
		}
		fields = append(fields, reflect.StructField{
			Name: "F" + strings.ReplaceAll(setting.Name, "-", "_"), Type: kind, Tag: flagTag(setting),
		})
	}
	s.Plugins = kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}
	return s
}

// flagTag describes to kong the flag of a setting.
func flagTag(s config.Setting) reflect.StructTag {
	help := s.Help
	if s.Type == config.TypeWord {
		help += " Allowed: " + s.Allowed + "."
	}
	if s.Default != "" {
		help += " Default: " + s.Default + "."
	}
	help += " [" + s.Env + "]"
	return reflect.StructTag("name:" + strconv.Quote(s.Name) + " help:" + strconv.Quote(help) +
		" placeholder:" + strconv.Quote(strings.ToUpper(string(s.Type))) + " sep:\"none\"")
}

// given gives the flags that were on the command line, by name.
func (s *Settings) given() map[string]string {
	flags := map[string]string{}
	values := reflect.ValueOf(s.Plugins[0]).Elem()
	for i, name := range s.names {
		switch value := values.Field(i); {
		case value.IsNil():
		case value.Kind() == reflect.Slice:
			flags[name] = strings.Join(value.Interface().([]string), ",")
		default:
			flags[name] = value.Elem().String()
		}
	}
	return flags
}

// load makes the effective configuration.
func (s *Settings) load() (*config.Config, error) {
	c, err := config.Load(s.given(), os.Environ())
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return c, nil
}
