// Calls the five GDPR consent calls of the vendor's published client and prints what each gave, one JSON line a call.
// Needs CONSENTD_URL, CONSENTD_TOKEN and CONSENTD_CLIENT, which is "User" (the browser's class) or "SSR.User" (the
// one for servers), in the environment. The test beside this file says what should come out.

const baseURL = process.env.CONSENTD_URL;
const sdkURL = `${baseURL}/sdk.html`;
// The browser's class looks where it is: on the vendor's own page it makes no hidden frame.
globalThis.window = { location: new URL(sdkURL), addEventListener() {} };

const { User, SSR } = await import("@slashid/slashid");
const Client = { User, "SSR.User": SSR.User }[process.env.CONSENTD_CLIENT];
// Analytics would call the vendor's /actions, which is no consent.
const options = { environment: { baseURL, sdkURL }, analyticsEnabled: false };
const user = new Client(process.env.CONSENTD_TOKEN, options);

// show gives the levels in the order answered, with whether each has the date of a moment ago.
function show(result) {
  return result?.consents.map(({ consent_level: level, created_at: at }) => {
    const age = at instanceof Date ? Date.now() - at.getTime() : NaN;
    return age > -60_000 && age < 600_000 ? level : `${level} with the date ${at}`;
  });
}

async function step(name, call) {
  let outcome;
  try {
    const result = await call();
    outcome = result === undefined ? { done: true } : { levels: show(result) };
  } catch (error) {
    outcome = { error: error?.name ?? String(error), status: error?.response?.status, body: await error?.response?.text() };
  }
  console.log(JSON.stringify({ step: name, ...outcome }));
}

console.log(JSON.stringify({ step: "token", person: user.ID, organization: user.oid, methods: user.authentication }));
await step("get, nothing yet", () => user.getGDPRConsent());
await step("set", () => user.setGDPRConsent({ consentLevels: ["analytics", "necessary"] }));
await step("get", () => user.getGDPRConsent());
await step("add", () => user.addGDPRConsent({ consentLevels: ["marketing"] }));
await step("set all", () =>
  user.setGDPRConsent({ consentLevels: ["tracking", "retargeting", "marketing", "analytics", "necessary", "none"] }));
await step("remove one", () => user.removeGDPRConsent({ consentLevels: ["none"] }));
await step("remove two", () => user.removeGDPRConsent({ consentLevels: ["tracking", "necessary"] }));
await step("get what is left", () => user.getGDPRConsent());
await step("remove none", () => user.removeGDPRConsent({ consentLevels: [] }));
await step("remove all", () => user.removeGDPRConsentAll());
await step("get nothing", () => user.getGDPRConsent());
await step("set nothing", () => user.setGDPRConsent({ consentLevels: [] }));
await step("set unknown", () => user.setGDPRConsent({ consentLevels: ["everything"] }));

const [head, , signature] = process.env.CONSENTD_TOKEN.split(".");
const forged = `${head}.${Buffer.from(JSON.stringify({ person_id: "x" })).toString("base64url")}.${signature}`;
await step("get by a forged token", () => new Client(forged, options).getGDPRConsent());
