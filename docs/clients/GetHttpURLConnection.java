import java.net.*;

class GetHttpURLConnection {
    public static void main(String[] urls) throws Exception {
        // Without this, Java answers no challenge for Basic on the way to https://.
        System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
        // Digest: Java takes the challenge for MD5, which it refuses from 21 on.
        System.setProperty("http.auth.digest.reEnabledAlgorithms", "MD5");
        var address = URI.create(System.getenv("PROXY"));
        var proxy = new Proxy(Proxy.Type.HTTP, new InetSocketAddress(address.getHost(), address.getPort()));
        if (address.getUserInfo() != null) {
            var user = address.getUserInfo().split(":", 2);
            Authenticator.setDefault(new Authenticator() {
                @Override
                protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication(user[0], user[1].toCharArray());
                }
            });
        }
        for (var url : urls) {
            var connection = URI.create(url).toURL().openConnection(proxy);
            try (var body = connection.getInputStream()) {
                System.out.println(new String(body.readAllBytes()));
            }
        }
    }
}
