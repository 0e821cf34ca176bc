// node-oidc-provider as it comes: one process, its own memory store, one client.
//
// Environment:
//   PORT            loopback port to listen on
//   CLIENT_ID       the one client, which authenticates with client_secret_basic …
//   CLIENT_SECRET   … and this secret
//   AUDIENCE        the resource that every token is for
//   TOKEN_FORMAT    "jwt" (signed with ES256) or "opaque"; only opaque tokens can be introspected
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const { PORT, CLIENT_ID, CLIENT_SECRET, AUDIENCE, TOKEN_FORMAT } = process.env;
const SCOPE = 'read write';
const LIFETIME_SECONDS = 3600;

function signingKey(algorithm, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: algorithm, alg: algorithm, use: 'sig' };
}

const resourceServer = {
  scope: SCOPE,
  audience: AUDIENCE,
  accessTokenTTL: LIFETIME_SECONDS,
  accessTokenFormat: TOKEN_FORMAT,
  jwt: { sign: { alg: 'ES256' } },
};

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      scope: SCOPE,
    },
  ],
  scopes: SCOPE.split(' '),
  ttl: { ClientCredentials: LIFETIME_SECONDS },
  jwks: {
    keys: [
      signingKey('ES256', 'ec', { namedCurve: 'P-256' }),
      // Never used here, but the provider's defaults for ID tokens ask for one.
      signingKey('RS256', 'rsa', { modulusLength: 2048 }),
    ],
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => AUDIENCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => resourceServer,
    },
  },
});

provider.listen(Number(PORT), '127.0.0.1');
