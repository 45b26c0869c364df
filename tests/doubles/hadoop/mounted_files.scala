// Hadoop's mount table under any scheme, as later Hadoops have it in ViewFileSystemOverloadScheme.
package org.apache.hadoop.fs.viewfs

import java.net.URI
import org.apache.hadoop.conf.Configuration

class MountedFiles extends ViewFileSystem {
  override def getScheme: String = myUri.getScheme
  override def initialize(uri: URI, conf: Configuration): Unit = {
    super.initialize(uri, conf)
    myUri = new URI(uri.getScheme, uri.getAuthority, "/", null, null)
  }
}
