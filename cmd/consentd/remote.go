package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/consentd/consentd/client"
	"github.com/consentd/consentd/internal/service"
)

// Remote are the flags of commands that call a server by its native API, as any other program does.
type Remote struct {
	URL          string `name:"url" env:"CONSENTD_URL" help:"Of the server. [CONSENTD_URL]" placeholder:"URL"`
	Key          string `env:"CONSENTD_KEY" help:"API key; better as CONSENTD_KEY or a file. [CONSENTD_KEY]" placeholder:"KEY"`
	KeyFile      string `env:"CONSENTD_KEY_FILE" help:"File with the API key. [CONSENTD_KEY_FILE]" placeholder:"FILE"`
	Organization string `help:"Id of the organization; default: the key's." placeholder:"ID"`
	Project      string `help:"Id or slug of the project; default: the default one." placeholder:"ID"`
}

// maxKeyFile is how large the file of a key may be.
const maxKeyFile = 4 << 10

// client makes the client. Each call is sent once: who calls repeats it. Errors are of the command line.
func (r *Remote) client(agent string) (*client.Client, error) {
	key := r.Key
	if r.KeyFile != "" && key == "" {
		text, err := os.ReadFile(r.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
		if key = strings.TrimSpace(string(text)); key == "" || len(text) > maxKeyFile {
			return nil, fmt.Errorf("--key-file: %s holds no key", r.KeyFile)
		}
	}
	organization := r.Organization
	if organization == "" {
		if id, ok := service.KeyOrganization(key); ok {
			organization = id.String()
		}
	}
	switch {
	case r.URL == "":
		return nil, errors.New("no server: name it with --url or CONSENTD_URL, such as http://127.0.0.1:8080")
	case key == "":
		return nil, errors.New("no API key: give it by CONSENTD_KEY, --key-file or --key")
	case organization == "":
		return nil, errors.New("the key does not say of which organization it is: name it with --organization")
	}
	r.Organization = organization
	made, err := client.New(client.Config{URL: r.URL, Organization: organization, Key: key, Project: r.Project, Tries: 1,
		TryTimeout: callTimeout, UserAgent: agent})
	if err != nil {
		return nil, errors.New(strings.NewReplacer("client: ", "", "Config.URL", "--url", "Config.Key", "the key").
			Replace(err.Error()))
	}
	return made, nil
}
