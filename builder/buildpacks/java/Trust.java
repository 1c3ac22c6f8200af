import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/** Writes the certificates of a PEM file into a PKCS12 trust store: `java Trust.java BUNDLE STORE`. */
public class Trust {
  public static void main(String[] words) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    try (FileInputStream bundle = new FileInputStream(words[0])) {
      int number = 0;
      for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(bundle)) {
        store.setCertificateEntry("ca" + number++, one);
      }
    }
    try (FileOutputStream target = new FileOutputStream(words[1])) {
      store.store(target, "changeit".toCharArray());
    }
  }
}
