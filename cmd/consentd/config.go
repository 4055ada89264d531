package main

import "os"

type configCmd struct{ Settings }

// Help implements kong.HelpProvider.
func (configCmd) Help() string {
	return `Prints what "consentd serve" would use with the same flags, environment and file: each setting, its value and
the place it came from. Secrets are masked. Nothing is opened but the YAML file and those that CONSENTD_…_FILE name;
consentd doctor looks at what else settings name.

Examples:

	consentd config
	CONSENTD_LISTEN=:9000 consentd config --log-format json
	consentd config --config /etc/consentd.yaml

Exit codes: 0 the settings are well-formed, 2 one is not; every mistake is named.`
}

// Run prints the configuration.
func (c *configCmd) Run() error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return cfg.Print(os.Stdout)
}
