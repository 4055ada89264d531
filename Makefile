# consentd. `make` lists the targets; each says what it needs beyond Go and make.

GO          ?= go
FUZZTIME    ?= 5s
TESTFLAGS   ?=
# All packages, those that take longest first, so that they do not run alone at the end.
TESTED      := ./cmd/consentd ./internal/store/... ./...
# Not under the race detector, where they take long and see no other code: what goes through one thread (commands,
# doctor, migrate-store, a ledger that is long), what has to come in time or waits for a database to fail, and suites
# that others run there already.
UNRACED     := TestCachedPersons|TestPlansOfWorkers|TestDoctor.*|TestInspection.*|TestMigrateStore.*|TestMove.*
UNRACED     := $(UNRACED)|TestStreamKilled|TestLargeBatchesAtOnce|TestManyProjects|TestPagesOfALongLedger
UNRACED     := $(UNRACED)|TestLargeBodiesDoNotWaitForEachOther|TestDocumentIsShown|TestPolicyBites|TestCitusRulesBite
UNRACED     := $(UNRACED)|TestCitusTakesTheMigrations|TestUnseenCharacters|TestKeyMistakes|TestHelpAndUsage|TestKeyFile
UNRACED     := $(UNRACED)|TestKeyCommands|TestKeysMistakes|TestCheckCommand.*|TestLedgerVerify.*|TestLedgerExport.*
UNRACED     := $(UNRACED)|TestLedgerAudit.*|TestVerifyCommand|TestBackup.*|TestPutBack|TestJournalMistakes|TestOnCitus
UNRACED     := $(UNRACED)|TestPostgresStopped|TestBackendsTerminated|TestSyncStandbyPromoted|TestFrozenPrimary
UNRACED     := $(UNRACED)|TestUnreplicatedWrite|TestMissingStandby|TestCommitWithoutAnswer|TestCompare|TestRun
UNRACED     := $(UNRACED)|TestRootKeyFromEnvironment|TestClientsDocument|TestDamagedFile|TestFolderNames
UNRACED     := $(UNRACED)|TestEvidenceHasABound|TestFewDataMakeNoLargeFiles|TestValuesHaveABound
UNRACED     := $(UNRACED)|TestMadeFilesHaveABound|TestEveryFlippedBitIsFound|TestGeneratedClientChecks
UNRACED     := $(UNRACED)|TestLinterPasses|TestParquet|TestLitewitness|TestAppendMicros|TestExportSubject.*
UNRACED     := $(UNRACED)|TestPowerCuts|TestKilledThenCut|TestErasedLeaveNoBytesInPostgres
UNRACED     := $(UNRACED)|TestWebhookKillLoopPostgres|TestImportGoesOnPostgres
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Pure Go: the binary runs anywhere, and no test depends on a C compiler.
# Only the race detector needs one.
export CGO_ENABLED := 0

# Outside a usable git checkout (an archive, another user's folder) the build
# goes on without the commit's name.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)

.DEFAULT_GOAL := help
.PHONY: help run build test lint format vet staticcheck race fuzz bench geo libc-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: build ## build and serve on 127.0.0.1:8080 with data in ./data (CONSENTD_* variables apply)
	./bin/consentd serve

build: ## build ./bin/consentd
	$(GO) build -trimpath $(BUILDVCS) -o bin/consentd ./cmd/consentd

test: ## vet, build and all tests; installs Node.js, npm, curl, Chromium and PostgreSQL where missing
	scripts/need.sh node npm curl chromium postgres
	$(GO) vet ./...
	$(MAKE) --no-print-directory build
	$(GO) test -timeout 20m $(TESTFLAGS) $(TESTED)

lint: format vet staticcheck ## gofmt, go vet, staticcheck

format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted (gofmt -w mends it):"; echo "$$unformatted"; exit 1; }

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

race: ## tests under the race detector, the long loops short; installs what is missing for that
	scripts/need.sh gcc node npm curl chromium postgres
	CGO_ENABLED=1 $(GO) test -race -short -timeout 15m -skip '^($(UNRACED))$$' $(TESTFLAGS) $(TESTED)

fuzz: ## every fuzz test for FUZZTIME (5s) each
	GO="$(GO)" scripts/fuzz.sh $(FUZZTIME)

ENGINE ?= sqlite
bench: build ## measure requests/s and latency on this machine; ENGINE=postgres measures over PostgreSQL
	$(GO) build -trimpath $(BUILDVCS) -o bin/consentd-bench ./cmd/consentd-bench
	if [ $(ENGINE) = postgres ]; then scripts/need.sh postgres; fi
	./bin/consentd-bench run --engine $(ENGINE)

geo: ## make the country table anew from its pinned source (network)
	$(GO) generate ./internal/geo

libc-check: build ## check that the binary holds the libc its SQLite was made for
	GO="$(GO)" scripts/check-libc.sh bin/consentd

clean: ## remove what was built; ./data stays
	rm -rf bin
